/** Workspaces that events told of and that this page does not know yet: each is asked for until there is an answer. */

/** between two attempts, milliseconds */
const FIRST = 500;
const LONGEST = 10_000;

export interface Asks {
  /** whether it is known by now */
  knows: (id: string) => boolean;
  /** false: no answer; true: it is known now, or is not there */
  meet: (id: string) => Promise<boolean>;
  /** all of the fleet; false: no answer */
  meetAll: () => Promise<boolean>;
}

export class Newcomers {
  private readonly asks: Asks;
  /** more than so many are asked for all at once */
  private readonly many: number;
  private readonly missing = new Set<string>();
  private meeting = false;
  private stopped = false;
  /** ends the pause after a failure: of those who are new now nothing is known yet */
  private wake: () => void = () => undefined;

  constructor(asks: Asks, many: number) {
    this.asks = asks;
    this.many = many;
  }

  add(ids: readonly string[]): void {
    const before = this.missing.size;
    for (const id of ids) this.missing.add(id);
    if (this.missing.size === before) return;
    if (this.meeting) this.wake();
    else void this.meetEach();
  }

  stop(): void {
    this.stopped = true;
    this.missing.clear();
    this.wake();
  }

  private async meetEach(): Promise<void> {
    this.meeting = true;
    let delay = FIRST;
    while (!this.stopped && this.missing.size > 0) {
      const answered = await this.meetSome();
      delay = answered ? FIRST : Math.min(delay * 2, LONGEST);
      if (!answered) await this.pause(delay * (0.75 + Math.random() / 2));
    }
    this.meeting = false;
  }

  private async pause(time: number): Promise<void> {
    await new Promise<void>((done) => {
      const timer = setTimeout(done, time);
      this.wake = () => {
        clearTimeout(timer);
        done();
      };
    });
    this.wake = () => undefined;
  }

  /** Whether all of those that were missing were answered. */
  private async meetSome(): Promise<boolean> {
    const ids = [...this.missing].filter((id) => !this.asks.knows(id));
    if (ids.length > this.many) {
      const met = await this.asks.meetAll();
      if (met) for (const id of ids) this.missing.delete(id); // not those who came while all were read
      return met;
    }
    this.missing.clear();
    const answers = await Promise.all(ids.map((id) => this.asks.meet(id)));
    for (const [index, id] of ids.entries()) if (!answers[index] && !this.stopped) this.missing.add(id);
    return answers.every(Boolean);
  }
}
