import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type ApiError, call } from "../src/api";
import { Live } from "../src/live";
import { FleetStore } from "../src/store";
import { event, flip, workspace } from "./made";
import { FakeSocket, Stage } from "./stage";

let stage: Stage;
let store: FleetStore;
let live: Live;
const never = () => new Promise(() => undefined);
const wait = (time: number) => vi.advanceTimersByTimeAsync(time);

beforeEach(() => {
  stage = new Stage();
  store = new FleetStore();
  live = new Live(store);
});
afterEach(() => {
  live.stop();
  stage.end();
});

async function begin(): Promise<void> {
  await live.start();
  stage.socket.pulse();
}

describe("live", () => {
  it("is said when everything was told, not when a connection is there", async () => {
    stage.fleet = [workspace("a")];
    await live.start();
    expect([store.loaded, store.connection]).toEqual([true, "connecting"]);
    stage.socket.tell(flip(11, "a", "degraded", "x"));
    expect(store.connection).toBe("connecting");
    stage.socket.pulse();
    expect([store.connection, store.get("a")?.status]).toEqual(["live", "degraded"]);
  });

  it("ends with the server's silence although nothing was closed, and begins again after what was told", async () => {
    stage.fleet = [workspace("a")];
    await begin();
    const first = stage.socket;
    for (let times = 0; times < 5; times += 1) {
      await wait(10_000);
      expect(store.connection).toBe("live");
      first.tell(flip(11 + times, "a", "online"));
    }
    stage.draw();
    await wait(14_000);
    expect([store.connection, first.closed]).toEqual(["reconnecting", true]);
    expect(stage.socket).not.toBe(first);
    expect(stage.socket.url).toContain("since=15&pulse=");
    first.tell(flip(16, "a", "failed")); // what was on its way for ever
    first.pulse();
    expect([store.connection, store.seq]).toEqual(["reconnecting", 15]);
    stage.socket.pulse();
    expect(store.connection).toBe("live");
  });

  it("is doubted at once when the network comes back or somebody looks again", async () => {
    await begin();
    await wait(7000);
    stage.hide(true);
    expect(store.connection).toBe("live");
    stage.hide(false);
    expect(store.connection).toBe("reconnecting");
    const sockets = FakeSocket.all.length;
    stage.window.dispatchEvent(new Event("online"));
    expect(FakeSocket.all.length).toBe(sockets + (sockets === 1 ? 1 : 0));
    expect(FakeSocket.all.length).toBe(2);
  });

  it("has the server's own doubt, from the snapshot, an event and each pulse", async () => {
    stage.unsure = "9 of 12 fell silent";
    await live.start();
    expect(store.unsure).toBe("9 of 12 fell silent");
    stage.socket.pulse();
    expect(store.unsure).toBe("");
    stage.tell(event(11, "EXPIRY_SUSPENDED", null, { reason: "too many" }));
    expect(store.unsure).toBe("too many");
    stage.tell(event(12, "EXPIRY_RESUMED", null));
    expect(store.unsure).toBe("");
    stage.socket.pulse({ unsure: "the database does not answer" });
    expect(store.unsure).toBe("the database does not answer");
  });

  it("goes on in a tab that is hidden when a frame was due", async () => {
    stage.fleet = [workspace("a")];
    await begin();
    stage.socket.tell(flip(11, "a", "degraded", "x"));
    stage.hide(true);
    expect(store.get("a")?.status).toBe("online");
    await wait(300);
    expect(store.get("a")?.status).toBe("degraded");
    stage.socket.tell(flip(12, "a", "online"));
    await wait(300);
    expect(store.get("a")?.status).toBe("online");
    stage.hide(false);
    stage.tell(flip(13, "a", "failed"));
    expect(store.get("a")?.status).toBe("failed");
  });
});

describe("questions", () => {
  it("end although nobody answers, and an action that may have been done says so", async () => {
    stage.answer = never;
    const asked = call("GET", "/workspaces").catch((error: ApiError) => error) as Promise<ApiError>;
    const done = call("DELETE", "/workspaces/a").catch((error: ApiError) => error) as Promise<ApiError>;
    await wait(15_000);
    expect((await asked).message).toBe("the server does not answer");
    expect((await done).message).toMatch(/not known whether it was done/);
    expect([(await asked).unknown, (await done).unknown]).toEqual([false, true]);
  });

  it("are not asked again while the last one waits", async () => {
    stage.fleet = [workspace("a")];
    await begin();
    stage.answer = (path) => (path.startsWith("/workspaces") ? never() : undefined);
    const before = stage.count("/workspaces");
    for (let times = 0; times < 10; times += 1) {
      await wait(1000);
      stage.socket.pulse();
      live.poll("a");
    }
    expect(stage.count("/workspaces") - before).toBe(1);
    expect(stage.count("/workspaces/a")).toBe(1);
  });
});

describe("newcomers", () => {
  const born = (seq: number, id: string) => flip(seq, id, "provisioning");

  it("are asked for until there is an answer", async () => {
    await begin();
    let failures = 3;
    stage.fleet = [workspace("new")];
    stage.answer = (path) => {
      if (path === "/workspaces") return never();
      if (path !== "/workspaces/new" || failures <= 0) return undefined;
      failures -= 1;
      return failures % 2 ? new Error("cut") : Response.json({ status: 503 }, { status: 503 });
    };
    stage.tell(born(11, "new"));
    await wait(10_000);
    expect(store.get("new")?.name).toBe("new");
  });

  it("that are gone again are not asked for for ever", async () => {
    await begin();
    stage.tell(born(11, "gone"));
    await wait(30_000);
    expect(stage.count("/workspaces/gone")).toBe(1);
  });

  it("that come while the whole fleet is read are not forgotten", async () => {
    await begin();
    const many = Array.from({ length: 30 }, (_, number) => `m${number}`);
    const late = Array.from({ length: 30 }, (_, number) => `late${number}`);
    let release: (page: unknown) => void = () => undefined;
    let reads = 0;
    stage.answer = (path) => {
      if (path !== "/workspaces") return undefined;
      reads += 1;
      return reads === 1 ? new Promise((done) => (release = done)) : undefined;
    };
    stage.tell(...many.map((id, index) => born(11 + index, id)));
    await wait(0);
    expect(reads).toBe(1);
    stage.tell(...late.map((id, index) => born(41 + index, id)));
    release({ workspaces: many.map((id) => workspace(id)), seq: 40, next: null, at: null, unsure: "" });
    stage.seq = 70;
    stage.fleet = [...many, ...late].map((id) => workspace(id));
    await wait(2000);
    expect(store.members.length).toBe(60);
  });

  it("are read again when more was told meanwhile than is kept", async () => {
    stage.fleet = [workspace("a")];
    await begin();
    const many = Array.from({ length: 30 }, (_, number) => `m${number}`);
    let release: (page: unknown) => void = () => undefined;
    let reads = 0;
    stage.answer = (path) => {
      if (path !== "/workspaces") return undefined;
      reads += 1;
      return reads === 1 ? new Promise((done) => (release = done)) : undefined;
    };
    stage.tell(...many.map((id, index) => born(11 + index, id)));
    const old = stage.fleet;
    stage.tell(
      flip(41, "a", "failed"),
      ...Array.from({ length: 2500 }, (_, at) => event(42 + at, "X", null)),
    );
    stage.seq = 2541;
    stage.fleet = [workspace("a", { status: "failed" }), ...many.map((id) => workspace(id))];
    release({ workspaces: old, seq: 40, next: null, at: null, unsure: "" });
    await wait(10);
    expect(store.get("a")?.status).toBe("failed");
    await wait(3000);
    expect([store.get("a")?.status, store.members.length]).toEqual(["failed", 31]);
  });

  it("and the removed are found by the regular look at the whole fleet too", async () => {
    stage.fleet = [workspace("a"), workspace("b")];
    await begin();
    stage.fleet = [workspace("b"), workspace("c")];
    await wait(4000);
    expect(store.members.map((one) => one.id).sort()).toEqual(["b", "c"]);
    stage.seq = 5; // an answer from before what was told
    stage.fleet = [];
    await wait(4000);
    expect(store.members.length).toBe(2);
  });
});
