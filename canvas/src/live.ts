/**
 * Keeps the store live: a snapshot with its seq, then the ordered events after it. A lost connection resumes from the last
 * event; a gap that the server no longer has leads to a new snapshot. Events are applied once a frame. It is live only
 * when the server has said that everything was told, and no longer than it goes on to say so.
 */

import { call, eventsBefore } from "./api";
import { clock } from "./clock";
import {
  type Event,
  type OpenDelegations,
  type Pulse,
  paths,
  type WorkspacePage,
  type WorkspaceView,
} from "./generated";
import { Newcomers } from "./newcomers";
import { beginReading } from "./read";
import type { FleetStore } from "./store";
import { Wire } from "./wire";

const FIRST_RETRY = 250;
const LONGEST_RETRY = 5000;
const GONE = 4410;
const UNAUTHENTICATED = 4401;
const FORBIDDEN = 4403;
const PAGE = 1000;
/** a page of so many may take so long on a slow line, milliseconds */
const PAGE_WITHIN = 45_000;
/** between two looks at what events do not tell (phases, current tasks), milliseconds */
const REFRESH = 3000;
/** fleets up to this size are looked at whole */
const REFRESH_LIMIT = 200;
/** more workspaces than this changed in one frame: not looked at one by one */
const STORM = 20;
/** of a larger fleet, so many of those on the screen are looked at in turn */
const PATROL = 15;
/** events read back for the notices */
const RECALLED = 400;

export class Live {
  private readonly store: FleetStore;
  private wire: Wire | null = null;
  private newcomers: Newcomers;
  private waiting: Event[] = [];
  /** ends the wait for the next frame, or for what stands in for it */
  private unschedule: (() => void) | null = null;
  private delay = FIRST_RETRY;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** what the timer will do */
  private retry: (() => void) | null = null;
  private patrol = 0;
  private refresher: ReturnType<typeof setInterval> | undefined;
  private refreshing = false;
  /** those that are asked for now, and whether one must be asked for once more */
  private readonly looks = new Map<string, { again: boolean }>();
  private stopped = true;
  /** counts starts, so that what an earlier one still waits for ends without effect */
  private run = 0;

  constructor(store: FleetStore) {
    this.store = store;
    this.newcomers = this.expecting();
  }

  async start(): Promise<void> {
    this.stopped = false;
    this.run += 1;
    this.newcomers = this.expecting();
    this.store.clear();
    this.store.setConnection("connecting");
    this.refresher = setInterval(() => void this.refresh(), REFRESH);
    addEventListener("online", this.hurry);
    document.addEventListener("visibilitychange", this.onVisibility);
    await this.snapshotAndListen();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    clearInterval(this.refresher);
    removeEventListener("online", this.hurry);
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.retry = null;
    this.wire?.close();
    this.wire = null;
    this.newcomers.stop();
    this.looks.clear();
    this.unschedule?.();
    this.unschedule = null;
    this.waiting = [];
  }

  /** Ask again for one workspace, at once. An answer that an event has overtaken is asked for again. */
  async look(id: string): Promise<void> {
    const looking = this.looks.get(id);
    if (looking) looking.again = true;
    else await this.ask(id);
  }

  /** The same for who asks regularly: not while it is being asked for already. */
  poll(id: string): void {
    if (!this.looks.has(id)) void this.ask(id);
  }

  /** Whether there was an answer. */
  private async ask(id: string): Promise<boolean> {
    const run = this.run;
    const looking = { again: false };
    this.looks.set(id, looking);
    this.store.stale.delete(id);
    try {
      for (let times = 0; times < 3; times += 1) {
        looking.again = false;
        const before = this.store.changesOf(id);
        const workspace = await call<WorkspaceView>("GET", paths.workspace(id));
        if (this.stopped || run !== this.run) return true;
        if (before !== this.store.changesOf(id)) continue;
        this.store.put(workspace);
        if (!looking.again) break;
      }
      return true;
    } catch (error) {
      if (this.stopped || run !== this.run) return true;
      const status = (error as { status?: number }).status ?? 0;
      if (status === 404) this.store.drop(id);
      return status >= 400 && status < 500 && status !== 429; // 0 and above: no answer to what was asked
    } finally {
      if (this.looks.get(id) === looking) this.looks.delete(id);
    }
  }

  private expecting(): Newcomers {
    return new Newcomers(
      {
        knows: (id) => this.store.get(id) !== undefined,
        meet: (id) => this.ask(id),
        meetAll: () => this.reread(),
      },
      STORM,
    );
  }

  private async snapshotAndListen(fresh = true): Promise<void> {
    const run = this.run;
    try {
      const { workspaces, seq, unsure } = await everybody();
      if (this.stopped || run !== this.run) return;
      if (!fresh) this.store.clear();
      this.store.snapshot(workspaces, seq);
      this.store.setUnsure(unsure);
      beginReading(seq);
      void this.recall(seq);
      void this.openDelegations();
    } catch (error) {
      if (this.stopped || run !== this.run) return;
      const { status } = error as { status?: number };
      if (status === 401 || status === 403) {
        this.store.setConnection(status === 401 ? "signed-out" : "refused");
        return;
      }
      this.again(() => void this.snapshotAndListen(fresh));
      return;
    }
    this.listen();
  }

  private listen(): void {
    if (this.stopped) return;
    this.wire = new Wire(this.store.seq, {
      event: (event) => {
        this.waiting.push(event);
        this.schedule();
      },
      pulse: (pulse) => this.pulse(pulse),
      ended: (code) => this.ended(code),
    });
  }

  /** Everything was told: what waits for a frame must be on the page before it says that it is live. */
  private pulse(pulse: Pulse): void {
    clock.heard(pulse.at);
    this.flush();
    this.delay = FIRST_RETRY;
    this.store.heardAt = clock.now();
    this.store.setUnsure(pulse.unsure);
    this.store.setConnection("live");
  }

  private ended(code: number | null): void {
    this.wire = null;
    if (this.stopped) return;
    // trying again would end in the same way
    if (code === UNAUTHENTICATED || code === FORBIDDEN) {
      this.store.setConnection(code === UNAUTHENTICATED ? "signed-out" : "refused");
      return;
    }
    this.again(code === GONE ? () => void this.snapshotAndListen(false) : () => this.listen());
  }

  private again(retry: () => void): void {
    if (this.stopped) return;
    this.store.setConnection("reconnecting");
    this.retry = retry;
    this.timer = setTimeout(() => this.retryNow(), this.delay * (0.75 + Math.random() / 2));
    this.delay = Math.min(this.delay * 2, LONGEST_RETRY);
  }

  private retryNow(): void {
    clearTimeout(this.timer);
    const { retry } = this;
    this.retry = null;
    retry?.();
  }

  private readonly hurry = (): void => {
    this.wire?.suspect();
    if (this.retry) this.retryNow();
  };

  private readonly onVisibility = (): void => {
    // a frame that was due when the tab was hidden does not come
    if (this.unschedule) {
      this.unschedule();
      this.unschedule = null;
      this.schedule();
    }
    if (!document.hidden) this.hurry();
  };

  /** Frames stop in a tab that nobody sees; its title and counts must not. */
  private schedule(): void {
    if (this.unschedule) return;
    const flush = () => this.flush();
    if (document.hidden) {
      const timer = setTimeout(flush, 250);
      this.unschedule = () => clearTimeout(timer);
    } else {
      const frame = requestAnimationFrame(flush);
      this.unschedule = () => cancelAnimationFrame(frame);
    }
  }

  private flush(): void {
    this.unschedule?.();
    this.unschedule = null;
    const events = this.waiting;
    if (events.length === 0) return;
    this.waiting = [];
    this.store.apply(events);
    this.store.heardAt = clock.now();
    this.lookAtStale();
  }

  private lookAtStale(): void {
    const watched = new Set(this.store.watched());
    const stale = [...this.store.stale];
    this.store.stale.clear();
    this.newcomers.add(stale.filter((id) => !this.store.get(id)));
    const known = stale.filter((id) => watched.has(id) && this.store.get(id));
    // of very many, what the events carry is enough
    if (known.length <= STORM) for (const id of known) void this.look(id);
  }

  /** Of new ones only the API knows the name; of very many at once it is asked for all. Whether there was an answer. */
  private async reread(): Promise<boolean> {
    const run = this.run;
    try {
      const { workspaces, seq } = await everybody();
      if (this.stopped || run !== this.run) return true;
      if (!this.store.covers(seq)) return false; // it took so long that what was told since is not all kept
      this.store.snapshot(workspaces, seq);
      this.lookAtStale();
      return true;
    } catch {
      return false;
    }
  }

  /** The last events before the snapshot, for the notices. */
  private async recall(seq: number): Promise<void> {
    try {
      this.store.recall((await eventsBefore(seq + 1, { limit: RECALLED })).events);
    } catch {
      // notices begin with what comes
    }
  }

  /** Who waits for whom; asked until it is known, for the events tell of changes only. */
  private async openDelegations(): Promise<void> {
    const run = this.run;
    try {
      const page = await call<OpenDelegations>("GET", paths.openDelegations);
      if (!this.stopped && run === this.run) this.store.openDelegations(page.delegations, page.seq);
    } catch {
      setTimeout(() => {
        if (!this.stopped && run === this.run) void this.openDelegations();
      }, LONGEST_RETRY);
    }
  }

  private async refresh(): Promise<void> {
    if (this.stopped || this.refreshing || document.hidden || this.store.connection !== "live") return;
    if (this.store.members.length > REFRESH_LIMIT) {
      const watched = this.store.watched();
      for (let step = 0; step < Math.min(PATROL, watched.length); step += 1)
        this.poll(watched[(this.patrol + step) % watched.length] ?? "");
      this.patrol += PATROL;
      return;
    }
    this.refreshing = true;
    const run = this.run;
    try {
      const page = await call<WorkspacePage>("GET", paths.workspaces, { query: { limit: REFRESH_LIMIT } });
      // older than what the events have told meanwhile: its statuses must not win
      if (!this.stopped && run === this.run && page.seq >= this.store.seq) this.store.refresh(page);
    } catch {
      // the connection's own watch says so
    } finally {
      this.refreshing = false;
    }
  }
}

interface Everybody {
  workspaces: WorkspaceView[];
  seq: number;
  unsure: string;
}

async function everybody(): Promise<Everybody> {
  const workspaces: WorkspaceView[] = [];
  let after: string | undefined;
  let seq: number | null = null;
  let unsure = "";
  do {
    const options = { query: { limit: PAGE, after }, within: PAGE_WITHIN };
    const page: WorkspacePage = await call("GET", paths.workspaces, options);
    if (page.at) clock.heard(page.at);
    workspaces.push(...page.workspaces);
    seq ??= page.seq; // the first page's: what changed while the others came is told again
    unsure = page.unsure ?? "";
    after = page.next ?? undefined;
  } while (after);
  return { workspaces, seq: seq ?? 0, unsure };
}
