/**
 * What agents and the platform tell people. The server keeps it, and what is read there is read in every tab and for
 * everybody: this only holds the newest of it, and asks again when an event says that something changed.
 */

import { useSyncExternalStore } from "react";
import { call, inWords } from "./api";
import { type NotificationPage, type NotificationsUnread, type NotificationView, paths } from "./generated";

/** asked for at first, and more with each wish for older ones */
export const STEP = 50;
/** the most that one request gives */
const LIMIT = 200;
/** at least between two requests that events asked for, milliseconds */
const PAUSE = 500;

export interface Told {
  items: readonly NotificationView[];
  unread: number;
  /** there are older ones */
  more: boolean;
  problem: string;
}

const NOTHING: Told = { items: [], unread: 0, more: false, problem: "" };

export class NotificationBox {
  private readonly listeners = new Set<() => void>();
  private wanted = STEP;
  private asking = false;
  private again = false;
  /** counts what was forgotten, so that answers from before have no effect */
  private run = 0;
  told: Told = NOTHING;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Somebody else may log in. */
  clear(): void {
    this.run += 1;
    this.wanted = STEP;
    this.asking = this.again = false;
    this.set(NOTHING);
  }

  /** Ask the server; while that goes on, once more afterwards, however often this is called. */
  async refresh(): Promise<void> {
    if (this.asking) {
      this.again = true;
      return;
    }
    const run = this.run;
    this.asking = true;
    try {
      do {
        this.again = false;
        await this.ask(run);
        if (this.again) await new Promise((done) => setTimeout(done, PAUSE));
      } while (this.again && run === this.run);
    } finally {
      if (run === this.run) this.asking = false;
    }
  }

  async older(): Promise<void> {
    this.wanted += STEP;
    await this.refresh();
  }

  async read(id: string): Promise<void> {
    if (this.told.items.every((one) => one.id !== id || one.read_at)) return;
    this.mark((one) => one.id === id, this.told.unread - 1);
    await this.tell(() => call<NotificationView>("POST", paths.notificationRead(id)));
  }

  /** All that are here and older ones; what comes meanwhile stays unread. */
  async readAll(): Promise<void> {
    const newest = this.told.items[0];
    if (!newest) return;
    this.mark(() => true, 0);
    await this.tell(() =>
      call<NotificationsUnread>("POST", paths.notificationsRead, { body: { through: newest.id } }),
    );
  }

  private async tell(send: () => Promise<unknown>): Promise<void> {
    const run = this.run;
    try {
      await send();
    } catch (error) {
      if (run !== this.run) return;
      await this.refresh();
      this.set({ ...this.told, problem: inWords(error) });
    }
  }

  /** At once, before the server has answered; its next answer is what counts. */
  private mark(which: (one: NotificationView) => boolean, unread: number): void {
    const at = new Date().toISOString();
    const items = this.told.items.map((one) => (which(one) && !one.read_at ? { ...one, read_at: at } : one));
    this.set({ ...this.told, items, unread: Math.max(0, unread), problem: "" });
  }

  private async ask(run: number): Promise<void> {
    const items: NotificationView[] = [];
    let next: string | null = "";
    let unread = 0;
    try {
      while (next !== null && items.length < this.wanted) {
        const limit = Math.min(LIMIT, this.wanted - items.length);
        const page: NotificationPage = await call("GET", paths.notifications, {
          query: { limit, after: next || undefined },
        });
        if (items.length === 0) unread = page.unread;
        items.push(...page.notifications);
        next = page.next ?? null;
      }
      if (run === this.run) this.set({ items, unread, more: next !== null, problem: "" });
    } catch (error) {
      if (run === this.run) this.set({ ...this.told, problem: inWords(error) });
    }
  }

  private set(told: Told): void {
    this.told = told;
    for (const listener of [...this.listeners]) listener();
  }
}

export const box = new NotificationBox();

export function useTold(): Told {
  return useSyncExternalStore(box.subscribe, () => box.told);
}
