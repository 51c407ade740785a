/** One connection to the fleet's events. The server promises to say something every few seconds: silence is its end. */

import { socket } from "./api";
import { type Event, type Pulse, paths } from "./generated";

/** seconds between what the server says when nothing happens */
const PULSE = 4;
/** after so long without a word the connection is dead, milliseconds */
const SILENCE = 12_000;
/** the same, when there is a reason to suspect it */
const SUSPECT = 6000;

export interface Hearer {
  event: (event: Event) => void;
  /** all events up to now were told */
  pulse: (pulse: Pulse) => void;
  /** with the close code, or null when it just fell silent; nothing is told after it */
  ended: (code: number | null) => void;
}

type Frame = Event | ({ type: "pulse" } & Pulse) | { type: "error" };

export class Wire {
  private readonly socket: WebSocket;
  private readonly watch: ReturnType<typeof setInterval>;
  private hearer: Hearer | null;
  private heardAt = Date.now();

  constructor(since: number, hearer: Hearer) {
    this.hearer = hearer;
    this.socket = socket(paths.events, { since, pulse: PULSE });
    this.socket.onmessage = (message) => this.read(JSON.parse(String(message.data)) as Frame);
    this.socket.onclose = (closed) => this.end(closed.code);
    this.watch = setInterval(() => this.judge(SILENCE), 1000);
  }

  /** The network came back, or somebody looks again: it must not take long to find out. */
  suspect(): void {
    this.judge(SUSPECT);
  }

  close(): void {
    this.hearer = null;
    clearInterval(this.watch);
    this.socket.close();
  }

  private read(frame: Frame): void {
    if (!this.hearer) return;
    this.heardAt = Date.now();
    if (frame.type === "pulse") this.hearer.pulse(frame as Pulse);
    else if (frame.type !== "error") this.hearer.event(frame as Event); // of an error the close code says the same
  }

  private judge(limit: number): void {
    if (Date.now() - this.heardAt > limit) this.end(null);
  }

  private end(code: number | null): void {
    const { hearer } = this;
    this.close();
    hearer?.ended(code);
  }
}
