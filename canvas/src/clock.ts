/** The server's clock: everything that has a time got it from there, and a browser's may be hours off. */

/** what is less than the best guess by more than this was told after a clock was set, milliseconds */
const STEP = 2000;

export class ServerClock {
  private offset: number | null = null;

  /** The server says that it is `at`; it was when it said so, so the latest guess is the best. */
  heard(at: string): void {
    const offset = Date.parse(at) - Date.now();
    if (Number.isNaN(offset)) return;
    if (this.offset === null || offset > this.offset || this.offset - offset > STEP) this.offset = offset;
  }

  /** Milliseconds since the epoch. */
  now(): number {
    return Date.now() + (this.offset ?? 0);
  }
}

export const clock = new ServerClock();

export function serverNow(): number {
  return clock.now();
}
