import { describe, expect, it, vi } from "vitest";
import { FleetStore } from "../src/store";
import { event, flip, workspace } from "./made";

function two(): FleetStore {
  const store = new FleetStore();
  store.snapshot([workspace("a"), workspace("b")], 10);
  return store;
}

describe("events", () => {
  it("change one workspace and tell only those who look at it", () => {
    const store = two();
    const [onA, onB, onStructure] = [vi.fn(), vi.fn(), vi.fn()];
    store.subscribeTo("a", onA);
    store.subscribeTo("b", onB);
    store.onStructure(onStructure);
    store.apply([flip(11, "a", "degraded", "stopped")]);
    expect(store.get("a")?.status).toBe("degraded");
    expect(store.get("a")?.conditions[0]?.detail).toBe("stopped");
    expect(onA).toHaveBeenCalledTimes(1);
    expect(onB).not.toHaveBeenCalled();
    expect(onStructure).not.toHaveBeenCalled();
    expect(store.counts).toMatchObject({ online: 1, degraded: 1 });
  });

  it("that were applied are passed over when they come again", () => {
    const store = two();
    store.apply([flip(11, "a", "degraded"), flip(12, "a", "online")]);
    store.apply([flip(11, "a", "degraded"), flip(12, "a", "online"), flip(9, "b", "failed")]);
    expect(store.get("a")?.status).toBe("online");
    expect(store.get("b")?.status).toBe("online");
    expect(store.feed.map((one) => one.seq)).toEqual([11, 12]);
    expect(store.notices).toHaveLength(1);
    expect(store.seq).toBe(12);
  });

  it("of one frame are told once", () => {
    const store = two();
    const listener = vi.fn();
    store.subscribeTo("a", listener);
    store.apply([flip(11, "a", "degraded"), flip(12, "a", "online"), flip(13, "a", "degraded")]);
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it("remove for good, and a late look does not bring anybody back", () => {
    const store = two();
    store.apply([event(11, "WORKSPACE_REMOVED", "a", { status: "removed" })]);
    expect(store.members.map((one) => one.id)).toEqual(["b"]);
    store.put(workspace("a", { status: "removed" }));
    expect(store.members.map((one) => one.id)).toEqual(["b"]);
  });

  it("of somebody unknown ask for a look", () => {
    const store = two();
    store.apply([flip(11, "c", "provisioning")]);
    expect([...store.stale]).toEqual(["c"]);
    store.put(workspace("c"));
    expect(store.members).toHaveLength(3);
  });

  it("of a restart show it pending until it is online", () => {
    const store = two();
    store.apply([event(11, "RESTART_ORDERED", "a", { restart_id: "r" })]);
    expect(store.get("a")?.restart_pending).toBe(true);
    store.apply([flip(12, "a", "provisioning")]);
    expect(store.get("a")?.restart_pending).toBe(true);
    store.apply([flip(13, "a", "online")]);
    expect(store.get("a")?.restart_pending).toBe(false);
  });

  it("count changes, so that an overtaken answer is known", () => {
    const store = two();
    const before = store.changesOf("a");
    store.apply([flip(11, "b", "degraded")]);
    expect(store.changesOf("a")).toBe(before);
    store.apply([flip(12, "a", "degraded")]);
    expect(store.changesOf("a")).not.toBe(before);
  });
});

describe("a snapshot", () => {
  it("is the truth: who is not in it is gone", () => {
    const store = two();
    const listener = vi.fn();
    store.subscribeTo("a", listener);
    store.snapshot([workspace("b", { status: "failed" })], 50);
    expect(store.get("a")).toBeUndefined();
    expect(listener).toHaveBeenCalled();
    expect(store.counts).toMatchObject({ online: 0, failed: 1 });
    expect(store.seq).toBe(50);
  });

  it("older than what events told gets those events again", () => {
    const store = two();
    store.apply([flip(11, "a", "degraded"), flip(12, "a", "online"), flip(13, "b", "offline")]);
    store.snapshot([workspace("a", { status: "degraded" }), workspace("b"), workspace("c")], 11);
    expect(store.get("a")?.status).toBe("online");
    expect(store.get("b")?.status).toBe("offline");
    expect(store.get("c")).toBeDefined();
    expect(store.seq).toBe(13);
    expect(store.notices).toHaveLength(2);
  });

  it("after clear forgets another session's events", () => {
    const store = two();
    store.apply([flip(999, "a", "degraded")]);
    store.clear();
    expect(store.notices).toEqual([]);
    store.snapshot([workspace("a")], 3);
    expect(store.seq).toBe(3);
    expect(store.get("a")?.status).toBe("online");
  });

  it("orders members by when they were made", () => {
    const store = new FleetStore();
    const [one, other] = [workspace("z"), workspace("y")];
    store.snapshot([other, one], 1);
    expect(store.members.map((member) => member.id)).toEqual(["z", "y"]);
  });
});

describe("notices", () => {
  it("are recalled from before, once, and lead to their incident", () => {
    const store = two();
    store.apply([flip(11, "a", "degraded", "x"), event(12, "INCIDENT_OPENED", "a", { incident_id: "i1" })]);
    store.recall([flip(8, "b", "offline"), flip(9, "b", "online"), flip(11, "a", "degraded", "x")]);
    expect(store.notices.map((notice) => notice.seq)).toEqual([11, 8]);
    expect(store.notices[0]?.incidentId).toBe("i1");
    expect(store.get("b")?.status).toBe("online");
    expect(store.seq).toBe(12);
  });

  it("say nothing of what is well", () => {
    const store = two();
    store.apply([flip(11, "a", "online"), event(12, "TASK_COMPLETED", "a", { task_id: "t" })]);
    expect(store.notices).toEqual([]);
  });
});

describe("what agents tell", () => {
  it("is no notice of trouble: who shows it asks the server again", () => {
    const store = two();
    store.apply([event(11, "NOTIFICATION", "a", { message: "m" })]);
    expect([store.notificationTick, store.notices.length]).toEqual([1, 0]);
    store.apply([event(12, "NOTIFICATION_READ", null, {}), event(13, "NOTIFICATION", "b", {})]);
    expect([store.notificationTick, store.notices.length]).toEqual([3, 0]);
  });
});

describe("exchanges", () => {
  it("are drawn between workspaces and end with their task", () => {
    const store = two();
    const payload = { task_id: "t", sender: { kind: "workspace", id: "a" } };
    store.apply([event(11, "TASK_SUBMITTED", "b", payload)]);
    expect(store.exchanges).toMatchObject([{ source: "a", target: "b", state: "submitted" }]);
    store.apply([event(12, "TASK_COMPLETED", "b", payload)]);
    expect(store.exchanges).toMatchObject([{ source: "a", target: "b", state: "completed" }]);
    store.apply([event(13, "TASK_SUBMITTED", "b", { task_id: "u", sender: { kind: "person" } })]);
    expect(store.exchanges).toHaveLength(1);
  });

  it("are known from a snapshot, in words for each card, and counted once for a team", () => {
    const store = two();
    const listener = vi.fn();
    store.onExchange(listener);
    const one = { delegation_id: "t", source_id: "a", target_id: "b", state: "working" as const };
    store.openDelegations([{ ...one, created_at: "2026-11-24T00:00:00Z" }], 10);
    expect(listener).toHaveBeenCalledTimes(1);
    expect(store.exchangesOf("a")).toBe("a asked b: b works on it.");
    expect(store.openAmong(["a", "b"])).toBe(1);
    store.clear();
    expect(store.exchangesOf("a")).toBe("");
    expect(store.openAmong(["a", "b"])).toBe(0);
  });
});
