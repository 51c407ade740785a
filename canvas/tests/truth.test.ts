/** What the page says must be so: by the server's clock, of now, and of what somebody watched. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ServerClock } from "../src/clock";
import type { ConditionView, Status } from "../src/generated";
import { uuid } from "../src/ids";
import { Conversation } from "../src/panel/conversation";
import { draftOf, sendDraft, setDraft } from "../src/panel/drafts";
import { gaps, spans, squeezed, unwatched, uptime, withGaps } from "../src/panel/uptime";
import { titleOf } from "../src/shell/title";
import { countsInWords, lookOf, noCounts, reason } from "../src/status";
import { FleetStore } from "../src/store";
import { moment } from "../src/time";
import { event, flip, task, update, workspace } from "./made";
import { Stage } from "./stage";

const at = (seq: number) => 1_790_000_000_000 + seq * 1000;
const iso = (seq: number) => new Date(at(seq)).toISOString();

function condition(symptom: string, detail: string, status: Status = "degraded"): ConditionView {
  return { symptom, witness: "self", status, detail, since: iso(100) } as ConditionView;
}

describe("the server's clock", () => {
  beforeEach(() => void vi.useFakeTimers({ now: at(0) }));
  afterEach(() => void vi.useRealTimers());

  it("is what the server says, by what came with the least delay", () => {
    const clock = new ServerClock();
    expect(clock.now()).toBe(at(0));
    clock.heard("nonsense");
    clock.heard(new Date(at(3600) - 500).toISOString());
    expect(clock.now()).toBe(at(3600) - 500);
    clock.heard(new Date(at(3600) - 20).toISOString());
    clock.heard(new Date(at(3600) - 900).toISOString());
    expect(clock.now()).toBe(at(3600) - 20);
  });
  it("is the new one when a clock was set", () => {
    const clock = new ServerClock();
    clock.heard(iso(3600));
    clock.heard(iso(0));
    expect(clock.now()).toBe(at(0));
  });
});

describe("reasons", () => {
  it("of silence say since when, and stay true while it goes on", () => {
    const silent = workspace("a", {
      status: "offline",
      conditions: [condition("silent", "no beat for 8.0 s")],
    });
    expect(reason(silent)).toBe(`no beat since ${moment(iso(92))}`);
    const other = workspace("a", { conditions: [condition("silent", "the link is lost")] });
    expect(reason(other)).toBe("the link is lost");
  });
  it("of errors are the newest", () => {
    const failing = workspace("a", {
      error_rate: 0.9,
      sample_error: "second",
      conditions: [condition("errors", "error rate 0.80: first")],
    });
    expect(reason(failing)).toBe("error rate 0.90: second");
    expect(reason({ ...failing, sample_error: "" })).toBe("error rate 0.80: first");
  });
  it("and statuses that only a newer server knows are shown too", () => {
    const later = workspace("a", { status: "hibernating" as Status, conditions: [condition("thermal", "")] });
    expect(reason(later)).toContain("thermal");
    expect(lookOf(later.status).word).toBe("Hibernating");
    const store = new FleetStore();
    store.snapshot([later, workspace("b")], 1);
    expect(countsInWords(store.counts)).toBe("1 hibernating, 1 online");
    expect(countsInWords(noCounts())).toBe("nobody");
  });
});

describe("uptime", () => {
  const flips = [flip(0, "a", "online"), flip(900, "a", "offline"), flip(950, "a", "online")];
  const began = (seq: number, since: number) =>
    event(seq, "WATCH_BEGAN", null, { unwatched_since: iso(since) });

  it("counts no time in which nobody watched", () => {
    const seen = withGaps(spans(flips, at(0), at(1000)), gaps([began(500, 100)], at(1000)));
    expect(seen.map((span) => [span.status, (span.until - span.from) / 1000])).toEqual([
      ["online", 100],
      ["unwatched", 400],
      ["online", 400],
      ["offline", 50],
      ["online", 50],
    ]);
    expect(unwatched(seen)).toBe(400_000);
    expect(uptime(seen)).toBeCloseTo(550 / 600);
  });
  it("nor time in which the server doubted itself, until it did no more or was another", () => {
    const doubt = (seq: number) => event(seq, "EXPIRY_SUSPENDED", null, { silent: 9, watched: 9 });
    expect(gaps([doubt(10), event(20, "EXPIRY_RESUMED", null), doubt(30)], at(40))).toEqual([
      { from: at(10), until: at(20) },
      { from: at(30), until: at(40) },
    ]);
    expect(gaps([doubt(10), began(50, 20), began(60, 60)], at(70))).toEqual([
      { from: at(10), until: at(50) },
    ]);
    expect(gaps([event(1, "NOTIFICATION_READ", null, {}), event(2, "EXPIRY_RESUMED", null)], at(3))).toEqual(
      [],
    );
  });
  it("shows it rather than that all was well, but never instead of trouble", () => {
    const seen = withGaps(spans(flips, at(0), at(1000)), [{ from: at(895), until: at(900) }]);
    expect(squeezed(seen, 2).map((span) => span.status)).toEqual(["online", "offline"]);
    expect(
      squeezed(withGaps(spans(flips.slice(0, 1), at(0), at(800)), [{ from: at(1), until: at(2) }]), 1),
    ).toMatchObject([{ status: "unwatched" }]);
  });
});

describe("the title", () => {
  it("does not look calm when nothing is known", () => {
    expect(titleOf(0, "live", "")).toBe("truebeat");
    expect(titleOf(2, "live", "")).toBe("(2) truebeat");
    expect(titleOf(2, "reconnecting", "")).toBe("Not live: (2) truebeat");
    expect(titleOf(0, "live", "many fell silent")).toBe("Unsure: truebeat");
  });
});

describe("a random name", () => {
  it("is made where there is no randomUUID", () => {
    const made = new Set(Array.from({ length: 1000 }, uuid));
    expect(made.size).toBe(1000);
    for (const one of made)
      expect(one).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe("a message whose answer was lost", () => {
  let stage: Stage;
  beforeEach(() => {
    stage = new Stage();
  });
  afterEach(() => stage.end());

  it("and an answer that streams go on after a lost connection, from where they were", async () => {
    const running = task("t", { state: "working" });
    stage.answer = (path) => (path === "/workspaces/w/tasks" ? { tasks: [running], next: null } : undefined);
    const chat = new Conversation("w");
    await chat.load();
    const dead = stage.socket;
    dead.tell(update(1, "text", { text: "half " }));
    await chat.load();
    expect([dead.closed, chat.turns[0]?.answer]).toEqual([true, "half "]);
    expect(stage.socket).not.toBe(dead);
    expect(stage.socket.url).toContain("after=1");
    stage.socket.tell(update(2, "text", { text: "done" }));
    expect(chat.turns[0]?.answer).toBe("half done");
    chat.rest();
  });

  it("is not said to be unsent, and is sent once however often it is sent again", async () => {
    const keys: (string | null)[] = [];
    const answers: unknown[] = [
      new Error("cut"),
      new Error("cut"),
      task("t", { state: "completed", answer: "x" }),
    ];
    vi.stubGlobal("fetch", async (_: URL, request: RequestInit) => {
      keys.push(new Headers(request.headers).get("idempotency-key"));
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return Response.json(answer);
    });
    const chat = new Conversation("w");
    await chat.send("delete it");
    expect(chat.turns[0]?.problem).toMatch(/not known whether it was done/);
    expect(chat.turns[0]?.problem).not.toMatch(/not sent/i);
    for (let times = 0; times < 2; times += 1) {
      const [turn] = chat.turns;
      if (turn) await chat.retry(turn);
    }
    expect(new Set(keys).size).toBe(1);
    expect(keys.length).toBe(3);
    expect(chat.turns.map((turn) => turn.key)).toEqual(["t"]);
    chat.rest();
  });

  it("answers what is asked back once, and the draft stays until it arrived", async () => {
    const keys: (string | null)[] = [];
    let cut = true;
    vi.stubGlobal("fetch", async (_: URL, request: RequestInit) => {
      keys.push(new Headers(request.headers).get("idempotency-key"));
      if (cut) throw new Error("cut");
      return Response.json(task("t", { state: "completed", answer: "x" }));
    });
    const chat = new Conversation("w");
    const asking = task("t", { state: "input-required" });
    const send = (text: string) => chat.reply(text, asking);
    setDraft("task t", "the blue one");
    await sendDraft("task t", send);
    expect(draftOf("task t")).toBe("the blue one");
    expect(chat.problem).toMatch(/not known whether it was done/);
    cut = false;
    const sending = sendDraft("task t", send);
    await sending;
    expect([draftOf("task t"), chat.problem]).toEqual(["", ""]);
    expect(keys.length).toBe(2);
    expect(new Set(keys).size).toBe(1);
    // what is said next is another message
    await chat.reply("the blue one", asking);
    expect(new Set(keys).size).toBe(2);
    chat.rest();
  });

  it("keeps what is typed while a message is under way", async () => {
    setDraft("a", "first");
    await sendDraft("a", async () => {
      setDraft("a", "second");
      return true;
    });
    expect(draftOf("a")).toBe("second");
    expect(draftOf("b")).toBe("");
  });
});
