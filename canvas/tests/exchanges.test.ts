import { describe, expect, it } from "vitest";
import { COOLING, Exchanges, pairsOf, saysFor, saysOf, stateAfter } from "../src/exchanges";
import type { OpenDelegation, TaskState } from "../src/generated";
import { event } from "./made";

const NAMES: Record<string, string> = { a: "ada", b: "bob", c: "eve" };
const nameOf = (id: string) => NAMES[id] ?? "?";

function told(seq: number, type: string, task: string, source = "a", target = "b") {
  return event(seq, type, target, { task_id: task, sender: { kind: "workspace", id: source, name: source } });
}

function open(task: string, state: TaskState, source = "a", target = "b"): OpenDelegation {
  return {
    delegation_id: task,
    source_id: source,
    target_id: target,
    state,
    created_at: "2026-11-24T00:00:00Z",
  };
}

function pairs(exchanges: Exchanges, now = 0) {
  return pairsOf(exchanges.all, now).map((pair) => [pair.id, pair.look]);
}

describe("exchanges", () => {
  it("follow a task through its states", () => {
    const exchanges = new Exchanges();
    for (const [seq, type, look] of [
      [1, "TASK_SUBMITTED", "waiting"],
      [2, "TASK_WORKING", "working"],
      [3, "TASK_REQUEUED", "waiting"],
      [4, "TASK_WORKING", "working"],
      [5, "TASK_INPUT_REQUIRED", "asks"],
      [6, "TASK_AUTH_REQUIRED", "asks"],
      [7, "TASK_COMPLETED", "ended"],
    ] as const) {
      expect(exchanges.apply(told(seq, type, "t"))).toBe(true);
      expect(pairs(exchanges)).toEqual([["a>b", look]]);
    }
    expect(exchanges.all[0]?.asked).toBeLessThan(exchanges.all[0]?.since ?? 0);
  });

  it("are only those between two workspaces", () => {
    const exchanges = new Exchanges();
    const person = { task_id: "t", sender: { kind: "person", id: "root", name: "root" } };
    expect(exchanges.apply(event(1, "TASK_SUBMITTED", "b", person))).toBe(false);
    expect(exchanges.apply(told(2, "TASK_SUBMITTED", "t", "b", "b"))).toBe(false);
    expect(exchanges.apply(told(3, "TASK_RESULT_REFUSED", "t"))).toBe(false);
    expect(exchanges.apply(event(4, "TASK_SUBMITTED", "b"))).toBe(false);
    expect(exchanges.apply(event(5, "TASK_SUBMITTED", "b", { sender: { kind: "workspace", id: "a" } }))).toBe(
      false,
    );
    expect(exchanges.apply(event(6, "DELEGATION_CREATED", "a", { delegation_id: "t" }))).toBe(false);
    expect(exchanges.all).toEqual([]);
  });

  it("come from a snapshot, and events win that are newer than it, in whatever order they come", () => {
    const exchanges = new Exchanges();
    exchanges.apply(told(12, "TASK_COMPLETED", "done"));
    exchanges.snapshot([open("new", "working"), open("done", "working"), open("c", "submitted", "c")], 10);
    expect(exchanges.all.map((one) => [one.taskId, one.state])).toEqual([
      ["done", "completed"],
      ["c", "submitted"],
      ["new", "working"],
    ]);
    // told of late, from before the snapshot
    expect(exchanges.apply(told(8, "TASK_SUBMITTED", "new"))).toBe(false);
    expect(exchanges.apply(told(11, "TASK_FAILED", "new"))).toBe(true);
    expect(pairs(exchanges)).toEqual([
      ["c>b", "waiting"],
      ["a>b", "failed"],
    ]);
  });

  it("are one edge each way, open before ended, and what ended cools and goes", () => {
    const exchanges = new Exchanges();
    exchanges.apply(told(1, "TASK_COMPLETED", "t1"));
    exchanges.apply(told(2, "TASK_WORKING", "t2"));
    exchanges.apply(told(3, "TASK_FAILED", "t3"));
    exchanges.apply(told(4, "TASK_SUBMITTED", "t4", "b", "a"));
    const [there, back] = pairsOf(exchanges.all, 0);
    expect(there?.exchanges.map((one) => one.taskId)).toEqual(["t2", "t3", "t1"]);
    expect([there?.look, back?.look]).toEqual(["working", "waiting"]);
    exchanges.apply(told(5, "TASK_COMPLETED", "t2"));
    expect(pairs(exchanges)).toEqual([
      ["b>a", "waiting"],
      ["a>b", "failed"],
    ]);
    const later = Date.parse(event(5, "", null).at) + COOLING + 1;
    expect(pairs(exchanges, later)).toEqual([["b>a", "waiting"]]);
  });

  it("are bounded: what ended goes first", () => {
    const exchanges = new Exchanges();
    exchanges.apply(told(1, "TASK_WORKING", "open"));
    for (let seq = 2; seq < 4000; seq += 1) exchanges.apply(told(seq, "TASK_COMPLETED", `t${seq}`));
    expect(exchanges.all.length).toBeLessThan(3000);
    expect(exchanges.all[0]?.taskId).toBe("open");
    for (let seq = 4000; seq < 9000; seq += 1) exchanges.apply(told(seq, "TASK_WORKING", `t${seq}`));
    expect(exchanges.all.length).toBeLessThan(3000);
  });

  it("of one workspace are those that have not ended", () => {
    const exchanges = new Exchanges();
    exchanges.apply(told(1, "TASK_WORKING", "t1"));
    exchanges.apply(told(2, "TASK_SUBMITTED", "t2", "c", "a"));
    expect(exchanges.openOf("a").map((one) => one.taskId)).toEqual(["t1", "t2"]);
    exchanges.apply(told(3, "TASK_CANCELED", "t1"));
    expect(exchanges.openOf("a").map((one) => one.taskId)).toEqual(["t2"]);
    expect(exchanges.openOf("b")).toEqual([]);
  });
});

describe("words", () => {
  it("say who asked whom and how it stands, of one and of several", () => {
    const exchanges = new Exchanges();
    const says = () =>
      pairsOf(exchanges.all, 0).map((p) => saysOf(p.exchanges, nameOf(p.source), nameOf(p.target)));
    exchanges.apply(told(1, "TASK_SUBMITTED", "t1"));
    expect(says()).toEqual(["ada asked bob: waits in bob's mailbox"]);
    exchanges.apply(told(2, "TASK_WORKING", "t1"));
    expect(says()).toEqual(["ada asked bob: bob works on it"]);
    exchanges.apply(told(3, "TASK_SUBMITTED", "t2"));
    exchanges.apply(told(4, "TASK_SUBMITTED", "t3"));
    expect(says()).toEqual(["ada asked bob for 3 things: 2 waiting, 1 worked on"]);
    expect(saysOf([], "ada", "bob")).toBe("");
  });

  it("of one workspace are a sentence for each other one, some of many", () => {
    const exchanges = new Exchanges();
    expect(saysFor(exchanges.openOf("a"), nameOf)).toBe("");
    exchanges.apply(told(1, "TASK_WORKING", "t1"));
    exchanges.apply(told(2, "TASK_SUBMITTED", "t2", "c", "a"));
    expect(saysFor(exchanges.openOf("a"), nameOf)).toBe(
      "ada asked bob: bob works on it. eve asked ada: waits in ada's mailbox.",
    );
    for (let n = 0; n < 9; n += 1) exchanges.apply(told(3 + n, "TASK_WORKING", `m${n}`, "a", `x${n}`));
    expect(saysFor(exchanges.openOf("a"), nameOf)).toMatch(/and 6 more\.$/);
  });

  it("know the state of each event that tells one", () => {
    expect(stateAfter("TASK_INPUT_REQUIRED")).toBe("input-required");
    expect(stateAfter("TASK_REQUEUED")).toBe("submitted");
    for (const type of ["TASK_", "TASK_RESULT_REFUSED", "WORKSPACE_FAILED", ""])
      expect(stateAfter(type)).toBeNull();
  });
});
