/**
 * Keeps the store live: a snapshot with its seq, then the ordered events after it. A lost connection resumes from the last
 * event; a gap that the server no longer has leads to a new snapshot. Events are applied once a frame.
 */

import { call, eventsSince, socket } from "./api";
import { type Event, type OpenDelegations, paths, type WorkspacePage, type WorkspaceView } from "./generated";
import { beginReading } from "./read";
import type { FleetStore } from "./store";

const FIRST_RETRY = 250;
const LONGEST_RETRY = 5000;
const GONE = 4410;
const UNAUTHENTICATED = 4401;
const PAGE = 1000;
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

interface ErrorFrame {
  type: "error";
  code: string;
}

export class Live {
  private readonly store: FleetStore;
  private connection: WebSocket | null = null;
  private waiting: Event[] = [];
  private frame = 0;
  private delay = FIRST_RETRY;
  private timer = 0;
  private rereading = false;
  private patrol = 0;
  private refresher = 0;
  private stopped = true;
  /** counts starts, so that what an earlier one still waits for ends without effect */
  private run = 0;

  constructor(store: FleetStore) {
    this.store = store;
  }

  async start(): Promise<void> {
    this.stopped = false;
    this.run += 1;
    this.store.clear();
    this.store.setConnection("connecting");
    this.refresher = window.setInterval(() => void this.refresh(), REFRESH);
    await this.snapshotAndListen();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    clearInterval(this.refresher);
    this.connection?.close();
    this.connection = null;
    cancelAnimationFrame(this.frame);
    clearTimeout(this.frame);
    this.frame = 0;
    this.waiting = [];
  }

  /** Ask again for one workspace, at once. An answer that an event has overtaken is asked for again. */
  async look(id: string): Promise<void> {
    const run = this.run;
    this.store.stale.delete(id);
    try {
      for (let again = 0; again < 3; again += 1) {
        const before = this.store.changesOf(id);
        const workspace = await call<WorkspaceView>("GET", paths.workspace(id));
        if (this.stopped || run !== this.run) return;
        if (before === this.store.changesOf(id)) {
          this.store.put(workspace);
          return;
        }
      }
    } catch {
      // the next event or the next look will tell
    }
  }

  private async snapshotAndListen(fresh = true): Promise<void> {
    const run = this.run;
    try {
      const [workspaces, seq] = await everybody();
      if (this.stopped || run !== this.run) return;
      if (!fresh) this.store.clear();
      this.store.snapshot(workspaces, seq);
      beginReading(seq);
      void this.recall(seq);
      void this.openDelegations();
    } catch (error) {
      if (this.stopped || run !== this.run) return;
      if ((error as { status?: number }).status === 401) {
        this.store.setConnection("signed-out");
        return;
      }
      this.again(() => void this.snapshotAndListen(fresh));
      return;
    }
    this.listen();
  }

  private listen(): void {
    if (this.stopped) return;
    const connection = socket(paths.events, { since: this.store.seq });
    this.connection = connection;
    connection.onopen = () => {
      this.delay = FIRST_RETRY;
      this.store.setConnection("live");
    };
    connection.onmessage = (message) => {
      const event = JSON.parse(String(message.data)) as Event | ErrorFrame;
      if (this.connection !== connection || event.type === "error") return; // the close code says it too
      this.waiting.push(event as Event);
      this.schedule();
    };
    connection.onclose = (closed) => {
      if (this.stopped || this.connection !== connection) return;
      this.connection = null;
      if (closed.code === UNAUTHENTICATED) {
        this.store.setConnection("signed-out");
        return;
      }
      const retry = closed.code === GONE ? () => void this.snapshotAndListen(false) : () => this.listen();
      this.again(retry);
    };
  }

  private again(retry: () => void): void {
    if (this.stopped) return;
    this.store.setConnection("reconnecting");
    this.timer = window.setTimeout(retry, this.delay * (0.75 + Math.random() / 2));
    this.delay = Math.min(this.delay * 2, LONGEST_RETRY);
  }

  /** Frames stop in a tab that nobody sees; its title and counts must not. */
  private schedule(): void {
    if (this.frame) return;
    const flush = () => {
      this.frame = 0;
      const events = this.waiting;
      this.waiting = [];
      this.store.apply(events);
      void this.lookAtStale();
    };
    this.frame = document.hidden ? window.setTimeout(flush, 250) : requestAnimationFrame(flush);
  }

  private async lookAtStale(): Promise<void> {
    const watched = new Set(this.store.watched());
    const ids = [...this.store.stale].filter((id) => watched.has(id) || !this.store.get(id));
    this.store.stale.clear();
    if (ids.length <= STORM) {
      await Promise.all(ids.map((id) => this.look(id)));
    } else if (ids.some((id) => !this.store.get(id)) && !this.rereading) {
      // of known ones the events carry what matters; of new ones only the API knows the name
      this.rereading = true;
      const run = this.run;
      try {
        const [workspaces, seq] = await everybody();
        if (!this.stopped && run === this.run) this.store.snapshot(workspaces, seq);
      } catch {
        for (const id of ids) this.store.stale.add(id);
      } finally {
        this.rereading = false;
      }
    }
  }

  /** The last events before the snapshot, for the notices. */
  private async recall(seq: number): Promise<void> {
    try {
      this.store.recall((await eventsSince(Math.max(0, seq - RECALLED), { limit: RECALLED })).events);
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
      window.setTimeout(() => {
        if (!this.stopped && run === this.run) void this.openDelegations();
      }, LONGEST_RETRY);
    }
  }

  private async refresh(): Promise<void> {
    if (this.stopped || document.hidden || this.store.connection !== "live") return;
    if (this.store.members.length > REFRESH_LIMIT) {
      const watched = this.store.watched();
      const some = Array.from({ length: Math.min(PATROL, watched.length) }, (_, step) => {
        return watched[(this.patrol + step) % watched.length] ?? "";
      });
      this.patrol += some.length;
      await Promise.all(some.map((id) => this.look(id)));
      return;
    }
    try {
      const page = await call<WorkspacePage>("GET", paths.workspaces, { query: { limit: REFRESH_LIMIT } });
      // older than what the events have told meanwhile: its statuses must not win
      if (page.seq < this.store.seq) return;
      for (const workspace of page.workspaces) {
        const known = this.store.get(workspace.id);
        if (known && !same(known, workspace))
          this.store.put({ ...workspace, witnesses: known.witnesses, evidence: known.evidence });
      }
    } catch {
      // the connection's own watch says so
    }
  }
}

async function everybody(): Promise<[WorkspaceView[], number]> {
  const workspaces: WorkspaceView[] = [];
  let after: string | undefined;
  let seq: number | null = null;
  do {
    const page: WorkspacePage = await call("GET", paths.workspaces, { query: { limit: PAGE, after } });
    workspaces.push(...page.workspaces);
    seq ??= page.seq; // the first page's: what changed while the others came is told again
    after = page.next ?? undefined;
  } while (after);
  return [workspaces, seq ?? 0];
}

/** Whether a card would show the same. */
function same(one: WorkspaceView, other: WorkspaceView): boolean {
  return (
    one.status === other.status &&
    one.phase === other.phase &&
    one.current_task === other.current_task &&
    one.active_tasks === other.active_tasks &&
    one.note === other.note &&
    one.generation === other.generation &&
    one.restart_pending === other.restart_pending &&
    one.conditions.length === other.conditions.length
  );
}
