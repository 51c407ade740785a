/** A browser for what needs one: a network that does what a test says, frames, a document that can be hidden. */

import { vi } from "vitest";
import type { Event, WorkspaceView } from "../src/generated";

export class FakeSocket {
  static all: FakeSocket[] = [];
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((closed: { code: number }) => void) | null = null;
  closed = false;
  readonly url: string;

  constructor(url: URL) {
    this.url = String(url);
    FakeSocket.all.push(this);
  }
  /** as a real one whose far end is silent: its close event does not come */
  close(): void {
    this.closed = true;
  }
  tell(...frames: object[]): void {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
  }
  pulse(more: object = {}): void {
    this.tell({ type: "pulse", at: new Date(Date.now()).toISOString(), seq: 0, unsure: "", ...more });
  }
}

type Answer = (path: string, method: string) => unknown;

/** `answer` gives what the server answers, an Error when there is none; a promise when it takes its time. */
export class Stage {
  readonly document = Object.assign(new EventTarget(), { hidden: false });
  readonly window = new EventTarget();
  readonly asked: string[] = [];
  frames = new Map<number, () => void>();
  fleet: WorkspaceView[] = [];
  seq = 10;
  unsure = "";
  answer: Answer = () => undefined;
  private numbers = 0;

  constructor() {
    FakeSocket.all = [];
    vi.useFakeTimers();
    vi.stubGlobal("document", this.document);
    vi.stubGlobal("location", { origin: "http://here", protocol: "http:" });
    vi.stubGlobal("addEventListener", this.window.addEventListener.bind(this.window));
    vi.stubGlobal("removeEventListener", this.window.removeEventListener.bind(this.window));
    vi.stubGlobal("localStorage", {
      getItem: () => null,
      setItem: () => undefined,
      removeItem: () => undefined,
    });
    vi.stubGlobal("WebSocket", FakeSocket);
    vi.stubGlobal("fetch", (url: URL, request: RequestInit) => this.fetch(url, request));
    vi.stubGlobal("requestAnimationFrame", (draw: () => void) => {
      this.numbers += 1;
      this.frames.set(this.numbers, draw);
      return this.numbers;
    });
    vi.stubGlobal("cancelAnimationFrame", (frame: number) => this.frames.delete(frame));
  }

  end(): void {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  }

  get socket(): FakeSocket {
    return FakeSocket.all.at(-1) as FakeSocket;
  }

  /** the browser draws */
  draw(): void {
    const due = [...this.frames.values()];
    this.frames.clear();
    for (const frame of due) frame();
  }

  hide(hidden: boolean): void {
    this.document.hidden = hidden;
    this.document.dispatchEvent(new globalThis.Event("visibilitychange"));
  }

  tell(...events: Event[]): void {
    this.socket.tell(...events);
    this.draw();
  }

  count(path: string): number {
    return this.asked.filter((one) => one === path).length;
  }

  private async fetch(url: URL, request: RequestInit): Promise<Response> {
    const method = request.method ?? "GET";
    this.asked.push(url.pathname);
    const given = this.answer(url.pathname, method) ?? this.known(url.pathname);
    const gone = new Promise<never>((_, fail) =>
      request.signal?.addEventListener("abort", () => fail(new Error("aborted"))),
    );
    const answer = await Promise.race([given, gone]);
    if (answer instanceof Error) throw answer;
    if (answer instanceof Response) return answer;
    return Response.json(answer);
  }

  private known(path: string): unknown {
    if (path === "/workspaces")
      return { workspaces: this.fleet, seq: this.seq, next: null, at: null, unsure: this.unsure };
    if (path === "/events") return { events: [], seq: this.seq };
    if (path === "/delegations/open" || path === "/delegations") return { delegations: [], seq: this.seq };
    const found = this.fleet.find((one) => path === `/workspaces/${one.id}`);
    return found ?? Response.json({ status: 404, detail: "no such workspace" }, { status: 404 });
  }
}
