/**
 * What the server says now about something that changes: asked again when it may have changed, never twice at once, and
 * not more often than makes sense for people, however many events there are.
 */

import { useEffect, useRef, useState } from "react";
import { inWords } from "../api";
import { useConnection } from "../store";

/** between the end of one question and the next, milliseconds */
const GAP = 300;

export class Asker<T> {
  private readonly gone = new AbortController();
  private running = false;
  private wanted = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly ask: (signal: AbortSignal) => Promise<T>;
  private readonly tell: (answer: T | null, problem: string) => void;
  private readonly gap: number;

  constructor(
    ask: (signal: AbortSignal) => Promise<T>,
    tell: (answer: T | null, problem: string) => void,
    gap: number = GAP,
  ) {
    this.ask = ask;
    this.tell = tell;
    this.gap = gap;
  }

  /** Something may have changed: what is asked after this call sees it. */
  want(): void {
    this.wanted = true;
    if (!this.running && this.timer === undefined) void this.run();
  }

  stop(): void {
    this.gone.abort();
    clearTimeout(this.timer);
  }

  private async run(): Promise<void> {
    if (this.gone.signal.aborted) return;
    this.running = true;
    this.wanted = false;
    try {
      const answer = await this.ask(this.gone.signal);
      if (!this.gone.signal.aborted) this.tell(answer, "");
    } catch (error) {
      if (!this.gone.signal.aborted) this.tell(null, inWords(error));
    }
    this.running = false;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.wanted) void this.run();
    }, this.gap);
  }
}

export interface Answer<T> {
  answer: T | null;
  problem: string;
  /** ask again, at once if that is not being done */
  again: () => void;
}

/** `key` names what is asked: another one begins anew. `tick` moves when the answer may be another; so does the connection. */
export function useAnswer<T>(
  key: string,
  tick: number | string,
  ask: (signal: AbortSignal) => Promise<T>,
): Answer<T> {
  const [told, setTold] = useState<{ key: string; answer: T | null; problem: string }>();
  const live = useConnection() === "live";
  const asking = useRef(ask);
  asking.current = ask;
  const asker = useRef<Asker<T> | null>(null);

  useEffect(() => {
    const made = new Asker<T>(
      (signal) => asking.current(signal),
      // what was known stays on the screen while the server does not answer
      (answer, problem) =>
        setTold((before) => ({
          key,
          answer: answer ?? (before?.key === key ? before.answer : null),
          problem,
        })),
    );
    asker.current = made;
    made.want();
    return () => made.stop();
  }, [key]);

  useEffect(() => {
    if (live) asker.current?.want();
  }, [tick, live]);

  const known = told?.key === key ? told : undefined;
  return {
    answer: known?.answer ?? null,
    problem: known?.problem ?? "",
    again: () => asker.current?.want(),
  };
}
