import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { NotificationPage, NotificationView } from "../src/generated";
import { isRead, parsed } from "../src/read";
import { entries, outside } from "../src/shell/notices";
import type { Notice } from "../src/store";

const call = vi.hoisted(() => vi.fn());
vi.mock("../src/api", () => ({ call, inWords: (error: Error) => error.message }));
const { NotificationBox, STEP } = await import("../src/notifications");

const ID = "b9fa1c73-f1e6-4d26-9735-4fc275be196e";
const OTHER = "b9fa1c73-f1e6-4d26-9735-4fc275be196f";

function told(id: string, more: Partial<NotificationView> = {}): NotificationView {
  return {
    id,
    workspace_id: "w",
    workspace_name: "ada",
    at: "2026-11-24T10:00:00Z",
    type: "info",
    message: "m",
    link: "",
    delegation_id: null,
    read_at: null,
    ...more,
  };
}

function notice(seq: number, more: Partial<Notice> = {}): Notice {
  return {
    seq,
    at: "2026-11-24T09:00:00Z",
    type: "WORKSPACE_DEGRADED",
    workspaceId: "w",
    name: "ada",
    text: "t",
    incidentId: null,
    taskId: null,
    ...more,
  };
}

const NONE = parsed(null, null);

describe("what was read", () => {
  it("is everything up to a mark, and some after it", () => {
    const read = parsed("5", "[7, 9]");
    expect([5, 6, 7, 8, 9].map((seq) => isRead(read, seq))).toEqual([true, false, true, false, true]);
  });
  it.each([
    [null, null],
    ["x", "{"],
    ["", '{"a": 1}'],
    ["NaN", '["7", null, 1e400]'],
  ])("is nothing when the browser kept nonsense: %j %j", (upTo, some) => {
    expect(isRead(parsed(upTo, some), 7)).toBe(false);
  });
});

describe("the list of notices", () => {
  it("has both kinds by time, each with its own state", () => {
    const trouble = [
      notice(9, { at: "2026-11-24T11:00:00Z" }),
      notice(3, { at: "2026-11-24T09:30:00.5+00:00" }),
    ];
    const all = entries(
      trouble,
      [told("a"), told("b", { read_at: "2026-11-24T10:01:00Z" })],
      parsed("3", null),
    );
    expect(all.map((one) => [one.key, one.unread])).toEqual([
      ["event 9", true],
      ["a", true],
      ["b", false],
      ["event 3", false],
    ]);
  });

  it.each([
    [told("a"), { selected: "w", tab: "health" }],
    [told("a", { delegation_id: ID, link: `/tasks/${OTHER}` }), { selected: "w", tab: "tasks", detail: ID }],
    [told("a", { link: `/tasks/${ID}` }), { selected: "w", tab: "tasks", detail: ID }],
    [told("a", { link: `/incidents/${ID}` }), { selected: "w", tab: "incidents", detail: ID }],
    [told("a", { link: `/workspaces/${ID}` }), { selected: ID, tab: "health" }],
    [told("a", { link: `/tasks/${ID}/../../tokens` }), { selected: "w", tab: "health" }],
    [told("a", { link: "//evil.example/" }), { selected: "w", tab: "health" }],
  ])("leads %# to where it belongs", (one, place) => {
    expect(entries([], [one], NONE)[0]?.place).toEqual(place);
  });

  it("leads from trouble to its incident or task", () => {
    const of = (more: Partial<Notice>) => entries([notice(1, more)], [], NONE)[0]?.place;
    expect(of({ incidentId: "i" })).toEqual({ selected: "w", tab: "incidents", detail: "i" });
    expect(of({ taskId: "t" })).toEqual({ selected: "w", tab: "tasks", detail: "t" });
    expect(of({})).toEqual({ selected: "w", tab: "health" });
    expect(of({ workspaceId: null })).toEqual({});
  });

  it.each([
    ["https://example.com/a?b=1", "https://example.com/a?b=1"],
    ["http://example.com", "http://example.com/"],
    ["javascript:alert(1)", ""],
    [" javascript:alert(1)", ""],
    ["data:text/html,<script>alert(1)</script>", ""],
    ["file:///etc/passwd", ""],
    ["https://user:secret@example.com/", ""],
    ["https://", ""],
    ["/tasks/x", ""],
    ["", ""],
  ])("opens for an agent only what is an address of the web: %j", (link, opened) => {
    expect(outside(link)).toBe(opened);
  });
});

describe("what agents tell", () => {
  const page = (from: number, count: number, unread: number, next: string | null): NotificationPage => ({
    notifications: Array.from({ length: count }, (_, at) => told(String(from + at))),
    unread,
    next,
  });
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => {
    vi.useRealTimers();
    call.mockReset();
  });

  it("is asked for again once, however many events come meanwhile", async () => {
    const box = new NotificationBox();
    call.mockImplementation(async () => page(0, 1, 1, null));
    const done = Promise.all([box.refresh(), box.refresh(), box.refresh()]);
    await vi.runAllTimersAsync();
    await done;
    expect(call).toHaveBeenCalledTimes(2);
    expect(box.told).toMatchObject({ unread: 1, more: false, problem: "" });
  });

  it("is read at once, and as the server says when that fails", async () => {
    const box = new NotificationBox();
    call.mockResolvedValueOnce(page(0, 2, 2, null));
    await box.refresh();
    call.mockRejectedValueOnce(new Error("no")).mockResolvedValueOnce(page(0, 2, 2, null));
    const reading = box.read("1");
    expect(box.told.unread).toBe(1);
    expect(box.told.items.map((one) => Boolean(one.read_at))).toEqual([false, true]);
    await reading;
    expect(box.told).toMatchObject({ unread: 2, problem: "no" });
    await box.read("of nobody");
    expect(call).toHaveBeenCalledTimes(3);
  });

  it("is all read up to the newest that was seen", async () => {
    const box = new NotificationBox();
    await box.readAll();
    expect(call).not.toHaveBeenCalled();
    call.mockResolvedValueOnce(page(7, 2, 90, null));
    await box.refresh();
    call.mockResolvedValueOnce({ unread: 0 });
    await box.readAll();
    expect(call).toHaveBeenLastCalledWith("POST", "/notifications/read", { body: { through: "7" } });
    expect(box.told.unread).toBe(0);
  });

  it("has older ones, as many as were wished for, in pages", async () => {
    const box = new NotificationBox();
    call.mockImplementation(async (_method, _path, { query }) => page(0, query.limit, 500, "next"));
    for (let wish = 0; wish < 5; wish += 1) await box.older();
    expect(box.told.items).toHaveLength(6 * STEP);
    expect(box.told.more).toBe(true);
    expect(call.mock.lastCall?.[2].query).toEqual({ limit: 100, after: "next" });
  });

  it("of somebody else is never shown to who logs in next", async () => {
    const box = new NotificationBox();
    let answer: (page: NotificationPage) => void = () => undefined;
    call.mockReturnValueOnce(new Promise((done) => (answer = done)));
    const asked = box.refresh();
    box.clear();
    answer(page(0, 3, 3, null));
    await asked;
    expect(box.told.items).toEqual([]);
  });
});
