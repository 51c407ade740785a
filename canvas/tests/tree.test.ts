import { describe, expect, it } from "vitest";
import type { TaskState, TraceNode } from "../src/generated";
import {
  answeredAt,
  bars,
  find,
  interrupts,
  nodesOf,
  openBelow,
  spanOf,
  treeInWords,
  within,
} from "../src/panel/tree";
import { task } from "./made";

const BEGIN = Date.parse("2026-11-24T00:00:00Z");

function node(id: string, state: TaskState, after: number, more: Partial<TraceNode> = {}): TraceNode {
  return {
    task_id: id,
    workspace_id: `w-${id}`,
    workspace_name: id,
    sender: { kind: "person", id: "root", name: "root" },
    state,
    summary: "",
    reason: "",
    attempt: 1,
    depth: 0,
    created_at: new Date(BEGIN + after * 1000).toISOString(),
    begun_at: null,
    ended_at: null,
    deadline_at: null,
    queued_seconds: 0,
    worked_seconds: null,
    wake: false,
    consumed: false,
    children: [],
    ...more,
  };
}

/** root has worked for 10 s; at 2 it asked bob, who waited 1 and worked 3; at 6 it asked eve, who still waits. */
function family(): TraceNode {
  return node("root", "working", 0, {
    worked_seconds: 10,
    children: [
      node("bob", "completed", 2, {
        queued_seconds: 1,
        worked_seconds: 3,
        ended_at: new Date(BEGIN + 6000).toISOString(),
      }),
      node("eve", "submitted", 6, {
        queued_seconds: 4,
        children: [node("mia", "working", 7, { worked_seconds: 3 })],
      }),
    ],
  });
}

describe("the tree", () => {
  it("is walked from the root down, and found in", () => {
    expect([...nodesOf(family())].map((one) => one.task_id)).toEqual(["root", "bob", "eve", "mia"]);
    expect(find(family(), "mia")?.workspace_name).toBe("mia");
    expect(find(family(), "nobody")).toBeUndefined();
    expect(treeInWords(family())).toBe("4 tasks in 4 workspaces, 3 open");
    expect(treeInWords(node("x", "failed", 0))).toBe("1 task in 1 workspace, all ended");
  });

  it("counts on from the server's own clock while something is open", () => {
    expect(answeredAt(family())).toBe(BEGIN + 10_000);
    const [root, bob, eve] = [...nodesOf(family())] as [TraceNode, TraceNode, TraceNode];
    expect(spanOf(root, 2000)).toEqual({ waited: 0, worked: 12 });
    expect(spanOf(bob, 2000)).toEqual({ waited: 1, worked: 3 });
    expect(spanOf(eve, 2000)).toEqual({ waited: 6, worked: null });
  });

  it("has its bars on one scale, none beyond it", () => {
    const found = bars(family(), 0);
    expect(found.get("root")).toEqual({ from: 0, waited: 0, worked: 1 });
    expect(found.get("bob")).toEqual({ from: 0.2, waited: 0.1, worked: 0.3 });
    expect(found.get("eve")).toEqual({ from: 0.6, waited: 0.4, worked: 0 });
    const later = bars(family(), 10_000);
    expect(later.get("bob")).toEqual({ from: 0.1, waited: 0.05, worked: 0.15 });
    // clocks that disagree, and a tree of no length
    const odd = node("odd", "completed", 5, {
      queued_seconds: 50,
      worked_seconds: 900,
      ended_at: "2026-11-24T00:00:06Z",
    });
    for (const tree of [node("r", "completed", 9, { children: [odd] }), node("x", "submitted", 0)])
      for (const bar of bars(tree, 0).values()) {
        expect(Math.min(bar.from, bar.waited, bar.worked)).toBeGreaterThanOrEqual(0);
        expect(bar.from + bar.waited + bar.worked).toBeLessThanOrEqual(1.0000001);
      }
  });

  it("is cut, but never the one that is looked at and its way", () => {
    const children = Array.from({ length: 300 }, (_, index) => node(`n${index}`, "completed", index));
    const last = children.at(-1);
    if (last) last.children = [node("deep", "working", 400)];
    const shown = within(node("root", "working", 0, { children }), 100, "deep");
    expect(shown.size).toBe(102);
    expect(["root", "n0", "n299", "deep"].every((id) => shown.has(id))).toBe(true);
    expect(within(family(), 100, "gone").size).toBe(4);
  });
});

describe("a cancel says what it interrupts", () => {
  it("of the task itself", () => {
    expect(interrupts(task("t", { state: "working" }), undefined, "ada")).toBe(
      "It interrupts ada, which works on it.",
    );
    expect(interrupts(task("t", { state: "submitted" }), undefined, "ada")).toContain(
      "nothing that ada does",
    );
    expect(interrupts(task("t", { state: "input-required" }), undefined, "ada")).toContain(
      "ada asks something",
    );
    const away = task("t", {
      state: "working",
      availability: {
        able: false,
        status: "offline",
        linked: false,
        queued: 0,
        restart: "none",
        symptom: "silent",
        detail: "",
        since: null,
        position: null,
        retry_after: null,
        reason: "",
      },
    });
    expect(interrupts(away, undefined, "ada")).toContain("may go on all the same");
  });

  it("and of everything below it that has not ended", () => {
    expect(openBelow(family()).map((one) => one.task_id)).toEqual(["eve", "mia"]);
    const said = interrupts(task("root"), family(), "root");
    expect(said).toContain("eve (waiting), mia (working)");
    expect(said).not.toContain("bob");
    const many = node("r", "working", 0, {
      children: Array.from({ length: 20 }, (_, index) => node(`n${index}`, "working", index)),
    });
    expect(interrupts(task("r"), many, "r")).toContain("and 12 more");
  });
});
