import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { matcher } from "../src/filter";
import { RULES, STATUSES, type Status, SYMPTOMS } from "../src/generated";
import { after, over, type Turn, textAfter } from "../src/panel/conversation";
import { percent, spans, squeezed, statusOf, uptime } from "../src/panel/uptime";
import { countsInWords, doing, isTrouble, LOOKS, noCounts, reason, severity } from "../src/status";
import { ago, duration, lasting, moment, since } from "../src/time";
import { event, flip, task, update, workspace } from "./made";

describe("statuses", () => {
  it("differ by glyph and by word", () => {
    const looks = STATUSES.map((status) => LOOKS[status]);
    expect(new Set(looks.map((look) => look.path + look.dashed)).size).toBe(STATUSES.length);
    expect(new Set(looks.map((look) => look.word)).size).toBe(STATUSES.length);
    expect(LOOKS.degraded.word).toBe("Degraded");
  });

  it("are counted trouble first", () => {
    expect(countsInWords({ ...noCounts(), online: 3, degraded: 1 })).toBe("1 degraded, 3 online");
    expect(countsInWords(noCounts())).toBe("nobody");
    expect(severity("failed")).toBeLessThan(severity("online"));
    expect(STATUSES.filter(isTrouble)).toEqual(["failed", "offline", "degraded"]);
  });

  it("have a reason: the first condition's words, else what opens it", () => {
    expect(reason(workspace("a"))).toBe("");
    const condition = {
      symptom: "wedged",
      witness: "self",
      status: "degraded",
      detail: "",
      since: "",
    } as const;
    expect(reason(workspace("a", { conditions: [condition] }))).toBe(RULES.wedged.opens);
    expect(reason(workspace("a", { conditions: [{ ...condition, detail: "stopped" }] }))).toBe("stopped");
    for (const symptom of SYMPTOMS) expect(RULES[symptom].opens).not.toBe("");
  });
});

describe("what it does", () => {
  it("is in words, never a number", () => {
    expect(doing(workspace("a", { current_task: "reads", phase: "tool" }))).toBe("reads");
    expect(doing(workspace("a", { current_task: "", phase: "idle" }))).toBe("idle");
    const id = "b9fa1c73-f1e6-4d26-9735-4fc275be196e";
    expect(doing(workspace("a", { current_task: id, phase: "tool" }))).toBe("works on a task (tool)");
    expect(doing(workspace("a", { current_task: null, phase: null }))).toBe("");
  });
});

describe("the search", () => {
  const ada = workspace("ada", { role: "Writer", phase: "thinking" });
  const ill = workspace("ill", {
    status: "degraded",
    conditions: [{ symptom: "wedged", witness: "self", status: "degraded", detail: "No answer", since: "" }],
  });
  it.each([
    ["", true, true],
    ["ADA", true, false],
    ["writer think", true, false],
    ["writer nothing", false, false],
    ["answer", false, true],
    ["status:degraded", false, true],
    ["status:trouble", false, true],
    ["status:trouble ada", false, false],
    ["(.*", false, false],
  ])("%j", (words, first, second) => {
    expect([matcher(words)(ada), matcher(words)(ill)]).toEqual([first, second]);
  });
});

describe("uptime", () => {
  const at = (seq: number) => Date.parse(flip(seq, "a", "online").at);
  it("is the share of the time in which it was online, without gaps", () => {
    const events = [flip(0, "a", "online"), flip(60, "a", "degraded"), flip(90, "a", "online")];
    const found = spans(events, at(0), at(100));
    expect(found.map((span) => [span.status, (span.until - span.from) / 1000])).toEqual([
      ["online", 60],
      ["degraded", 30],
      ["online", 10],
    ]);
    expect(uptime(found)).toBeCloseTo(0.7);
  });

  it("knows what was before its window, and joins equal statuses", () => {
    const events = [
      flip(0, "a", "degraded"),
      flip(10, "a", "degraded"),
      flip(50, "a", "online"),
      flip(60, "a", "online"),
    ];
    const found = spans(events, at(20), at(100));
    expect(found.map((span) => [span.status, (span.until - span.from) / 1000])).toEqual([
      ["degraded", 30],
      ["online", 50],
    ]);
  });

  it("is unknown without a status", () => {
    expect(uptime(spans([event(1, "RESTART_ORDERED", "a")], 0, at(5)))).toBeNull();
    expect(statusOf(event(1, "TASK_FAILED", "a"))).toBeNull();
  });
  it("is never rounded to all or to nothing", () => {
    expect([1, 0.99999, 0.5, 0.00001, 0].map(percent)).toEqual(["100 %", "99.9 %", "50.0 %", "0.1 %", "0 %"]);
  });
  it("shows the shortest trouble of thousands of flips, in few stretches without gaps", () => {
    const flips = [flip(0, "a", "online")];
    for (let second = 100; second < 50_000; second += 10)
      flips.push(flip(second, "a", second % 20 ? "online" : "provisioning"));
    flips.push(flip(50_000, "a", "online"), flip(70_000, "a", "failed"), flip(70_001, "a", "online"));
    const all = spans(flips, at(0), at(100_000));
    const few = squeezed(all, 100);
    expect(few.length).toBeLessThanOrEqual(100);
    expect(few.filter((span) => span.status === "failed")).toHaveLength(1);
    expect([few[0]?.from, few.at(-1)?.until]).toEqual([at(0), at(100_000)]);
    for (const [index, span] of few.entries())
      expect(span.from).toBe(index > 0 ? few[index - 1]?.until : at(0));
    expect(squeezed(all.slice(0, 50), 100)).toHaveLength(50);
    expect(squeezed([], 100)).toEqual([]);
  });
});

describe("a turn of a chat", () => {
  const turn: Turn = {
    key: "t",
    task: task("t", { state: "submitted" }),
    question: "q",
    answer: "",
    progress: "",
    waiting: null,
    problem: "",
  };
  const play = (updates: ReturnType<typeof update>[]): Turn => {
    let text = "";
    return updates.reduce((now, one) => {
      text = textAfter(text, one);
      return after(now, one, text);
    }, turn);
  };
  const unable = {
    able: false,
    status: "degraded" as Status,
    linked: true,
    queued: 3,
    restart: "none" as const,
    symptom: null,
    detail: "",
    since: null,
    position: 2,
    retry_after: null,
    reason: "it is wedged",
  };

  it("streams, and ends with the whole answer", () => {
    const parts = [
      update(1, "status"),
      update(2, "text", { text: "Hel" }),
      update(3, "text", { text: "lo" }),
    ];
    expect(play(parts)).toMatchObject({ answer: "Hello", task: { state: "working" } });
    const end = update(4, "status", { state: "completed", text: "Hello.", final: true });
    expect(play([...parts, end])).toMatchObject({ answer: "Hello.", task: { state: "completed" } });
    expect(play([...parts, { ...end, text: "" }]).answer).toBe("Hello");
  });

  it("waits with its reason until it can be taken", () => {
    const waits = update(1, "unavailable", { state: "submitted", availability: unable });
    expect(play([waits]).waiting).toMatchObject({ reason: "it is wedged", position: 2 });
    expect(play([waits, update(2, "available")]).waiting).toBeNull();
    expect(play([waits, update(2, "text", { text: "x" })]).waiting).toBeNull();
  });

  it("begins anew with another attempt, and after a reply", () => {
    const again = [
      update(1, "text", { text: "half" }),
      update(2, "status", { state: "submitted" }),
      update(3, "text", { text: "whole" }),
    ];
    expect(play(again).answer).toBe("whole");
    const asked = [
      update(1, "text", { text: "hm" }),
      update(2, "status", { state: "input-required", text: "which?" }),
      update(3, "reply", { state: "submitted", text: "this" }),
      update(4, "text", { text: "done" }),
    ];
    expect(play(asked.slice(0, 2))).toMatchObject({ answer: "which?", task: { state: "input-required" } });
    expect(play(asked).answer).toBe("done");
  });

  it("is over when nothing more comes by itself", () => {
    expect(over(task("t", { state: "working" }))).toBe(false);
    expect(over(task("t", { state: "submitted" }))).toBe(false);
    for (const state of ["completed", "failed", "canceled", "rejected", "input-required"] as const)
      expect(over(task("t", { state }))).toBe(true);
  });
});

describe("times in words", () => {
  it.each([
    [Number.NaN, "0 s"],
    [-3, "0 s"],
    [0.25, "250 ms"],
    [2.34, "2.3 s"],
    [45, "45 s"],
    [0, "0 s"],
    [0.00001, "1 ms"],
    [0.9996, "1.0 s"],
    [9.97, "10 s"],
    [600, "10 min"],
    [7200, "2 h"],
    [5500, "1.5 h"],
    [130_000, "1.5 d"],
    [2_000_000, "23 d"],
  ])("%d", (seconds, words) => {
    expect(duration(seconds)).toBe(words);
  });
  it("of the past", () => {
    expect([0, 0.4, 30].map(ago)).toEqual(["just now", "just now", "30 s ago"]);
    expect([0, 0.4, 30].map(lasting)).toEqual(["since just now", "since just now", "for 30 s"]);
    const at = "2026-11-24T00:00:00Z";
    expect(since(at, Date.parse(at) + 30_000)).toBe(30);
    expect(since(at, Date.parse(at) - 30_000), "the server's clock is ahead").toBe(0);
  });
  it("of the clock: a day is named when it was another", () => {
    const at = new Date(2026, 10, 24, 9, 30, 5);
    const on = (year: number, month: number, day: number) =>
      moment(at.toISOString(), new Date(year, month, day, 23).getTime());
    expect(on(2026, 10, 24)).toMatch(/^0?9:30:05/);
    expect(on(2026, 10, 25)).toMatch(/24.*9:30:05/);
    expect(on(2027, 10, 25)).toMatch(/2026.*9:30:05/);
    expect(moment("nonsense")).toBe("");
  });
});

/** WCAG's relative luminance of #rrggbb. */
function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

describe("colours", () => {
  const css = readFileSync(new URL("../src/styles/base.css", import.meta.url), "utf8");
  const tokens = new Map(
    [...css.matchAll(/--(\w+): light-dark\((#\w{6}), (#\w{6})\)/g)].map((found) => [
      found[1] ?? "",
      { light: found[2] ?? "", dark: found[3] ?? "" },
    ]),
  );
  const grounds = ["page", "surface", "raised"];
  const inks = ["text", "dim", "accent", ...STATUSES];
  const pairs = ["light", "dark"].flatMap((scheme) =>
    inks.flatMap((ink) => grounds.map((ground) => [scheme, ink, ground] as const)),
  );
  it.each(pairs)("in %s: %s on %s can be read", (scheme, ink, ground) => {
    const of = (name: string) => tokens.get(name)?.[scheme as "light" | "dark"] ?? "";
    expect(of(ink)).toMatch(/^#/);
    expect(of(ground)).toMatch(/^#/);
    expect(contrast(of(ink), of(ground))).toBeGreaterThanOrEqual(4.5);
  });
});
