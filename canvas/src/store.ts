/**
 * The fleet as this page knows it. One entry for each workspace, each with its own listeners, so that an event re-renders
 * one card and nothing else. Pure of the network: live.ts feeds it.
 */

import { useCallback, useSyncExternalStore } from "react";
import { type Exchange, Exchanges, saysFor } from "./exchanges";
import type { ConditionView, Event, OpenDelegation, Status, WorkspacePage, WorkspaceView } from "./generated";
import { type Counts, noCounts, sameCard } from "./status";
import { type Listener, Topic } from "./topic";
import { type Notice, noticeOf } from "./trouble";

export type { Notice };

export type Connection = "connecting" | "live" | "reconnecting" | "signed-out" | "refused";

/** events kept for timelines and notices */
const FEED_LIMIT = 2000;
const NOTICE_LIMIT = 200;

/** what an event changed: who is there, a status, something else of a workspace, nothing */
type Change = "structure" | "status" | "other" | "none";

const STATUS_EVENT = /^WORKSPACE_(PROVISIONING|ONLINE|OFFLINE|DEGRADED|FAILED|REMOVED)$/;
export class FleetStore {
  private byId = new Map<string, WorkspaceView>();
  private readonly each = new Map<string, Topic>();
  private readonly structureTopic = new Topic();
  private readonly countsTopic = new Topic();
  private readonly connectionTopic = new Topic();
  private readonly feedTopic = new Topic();
  private readonly exchangeTopic = new Topic();

  /** the last event that was applied */
  seq = 0;
  /** all that live, by when they were made: the order never changes but by additions and removals */
  members: readonly WorkspaceView[] = [];
  counts: Counts = noCounts();
  connection: Connection = "connecting";
  /** whether there was a snapshot: before it nothing may be counted */
  loaded = false;
  /** why the server believes none of its own statuses now; "" normally */
  unsure = "";
  /** when the server was heard last, by its clock, milliseconds; what is shown is as of then */
  heardAt = 0;
  feed: readonly Event[] = [];
  notices: readonly Notice[] = [];
  /** work between workspaces: the graph's edges */
  private readonly between = new Exchanges();
  /** incidents changed, tasks changed: pages that show them look again */
  incidentTick = 0;
  /** what agents tell, or what of it was read, changed */
  notificationTick = 0;
  taskTick = new Map<string, number>();
  /** ids of which an event told something that only the API knows */
  readonly stale = new Set<string>();
  /** how often events changed each workspace: an answer asked for before the last change is not used */
  private readonly changes = new Map<string, number>();

  // --- reading ---

  get(id: string): WorkspaceView | undefined {
    return this.byId.get(id);
  }

  get exchanges(): readonly Exchange[] {
    return this.between.all;
  }

  /** How much work between workspaces these have to do with that has not ended. */
  openAmong(ids: readonly string[]): number {
    const found = new Set<string>();
    for (const id of ids) for (const one of this.between.openOf(id)) found.add(one.taskId);
    return found.size;
  }

  /** In words: whom it asked and who asked it, of what has not ended. */
  exchangesOf(id: string): string {
    return saysFor(this.between.openOf(id), (one) => this.get(one)?.name ?? "somebody");
  }

  /** Whether every event after it that was applied is still there to be applied again. */
  covers(seq: number): boolean {
    return seq >= this.seq || (this.feed[0]?.seq ?? this.seq + 1) <= seq + 1;
  }

  changesOf(id: string): number {
    return this.changes.get(id) ?? 0;
  }

  /** Those that something on the screen shows. */
  watched(): string[] {
    return [...this.each].filter(([, topic]) => topic.heard).map(([id]) => id);
  }

  subscribeTo(id: string, listener: Listener): Listener {
    let topic = this.each.get(id);
    if (!topic) {
      topic = new Topic();
      this.each.set(id, topic);
    }
    return topic.subscribe(listener);
  }

  readonly onStructure = this.structureTopic.subscribe;
  readonly onCounts = this.countsTopic.subscribe;
  readonly onConnection = this.connectionTopic.subscribe;
  readonly onFeed = this.feedTopic.subscribe;
  readonly onExchange = this.exchangeTopic.subscribe;

  // --- writing ---

  /** Forget everything: somebody else may log in, or the server may have begun anew. */
  clear(): void {
    this.feed = [];
    this.notices = [];
    this.between.clear();
    this.stale.clear();
    this.snapshot([], 0);
    this.loaded = false;
    this.setUnsure("");
    this.feedTopic.tell();
    this.exchangeTopic.tell();
  }

  /**
   * The whole fleet as the API gave it; what was known before and is not in it is gone. Events after its seq that were
   * applied already are applied to it again, for nobody sends them twice.
   */
  snapshot(workspaces: readonly WorkspaceView[], seq: number): void {
    const before = this.byId;
    this.byId = new Map(workspaces.map((workspace) => [workspace.id, workspace]));
    const later = this.feed.filter((event) => event.seq > seq);
    for (const event of later) this.applyOne(event);
    this.seq = later.at(-1)?.seq ?? seq;
    this.loaded = true;
    this.restructure();
    for (const id of new Set([...before.keys(), ...this.byId.keys()])) {
      if (before.get(id) !== this.byId.get(id)) this.each.get(id)?.tell();
    }
  }

  /** One workspace, as the API gave it just now. */
  put(workspace: WorkspaceView): void {
    const before = this.byId.get(workspace.id);
    if (workspace.status === "removed") {
      if (this.byId.delete(workspace.id)) this.restructure();
      this.each.get(workspace.id)?.tell();
      return;
    }
    this.byId.set(workspace.id, workspace);
    if (
      !before ||
      before.parent_id !== workspace.parent_id ||
      before.name !== workspace.name ||
      before.role !== workspace.role
    ) {
      this.restructure();
    } else if (before.status !== workspace.status) {
      this.recount();
    }
    this.each.get(workspace.id)?.tell();
  }

  /** It is not there any more. */
  drop(id: string): void {
    if (!this.byId.delete(id)) return;
    this.restructure();
    this.each.get(id)?.tell();
  }

  /** The whole fleet again, without what only a look at one of it gives; not older than what was applied. */
  refresh(page: WorkspacePage): void {
    this.setUnsure(page.unsure ?? "");
    const there = new Set<string>();
    for (const workspace of page.workspaces) {
      there.add(workspace.id);
      const known = this.byId.get(workspace.id);
      if (!known) this.put(workspace);
      else if (!sameCard(known, workspace))
        this.put({ ...workspace, witnesses: known.witnesses, evidence: known.evidence });
    }
    if (page.next) return;
    for (const id of [...this.byId.keys()]) if (!there.has(id)) this.drop(id);
  }

  setUnsure(unsure: string): void {
    if (unsure === this.unsure) return;
    this.unsure = unsure;
    this.connectionTopic.tell();
  }

  setConnection(connection: Connection): void {
    if (connection === this.connection) return;
    this.connection = connection;
    this.connectionTopic.tell();
  }

  /** Events in the order of their seq; one that was applied already is passed over. */
  apply(events: readonly Event[]): void {
    const touched = new Set<string>();
    let structure = false;
    let counts = false;
    let incidents = false;
    let exchanges = false;
    const fresh = events.filter((event) => event.seq > this.seq);
    for (const event of fresh) {
      this.seq = event.seq;
      const id = event.workspace_id;
      const change = this.applyOne(event);
      structure ||= change === "structure";
      counts ||= change === "status";
      if (id && change !== "none") touched.add(id);
      if (event.type.startsWith("INCIDENT_")) {
        incidents = true;
        if (id) this.stale.add(id);
      } else if (event.type.startsWith("NOTIFICATION")) {
        this.notificationTick += 1;
      } else if (event.type === "EXPIRY_SUSPENDED") {
        this.setUnsure(String(event.payload.reason ?? "many workspaces fell silent together"));
      } else if (event.type === "EXPIRY_RESUMED") {
        this.setUnsure("");
      } else if (id && /^(TASK|DELEGATION)_/.test(event.type)) {
        this.taskTick.set(id, (this.taskTick.get(id) ?? 0) + 1);
        exchanges = this.between.apply(event) || exchanges;
      }
      this.notice(event);
    }
    if (fresh.length === 0) return;
    this.feed = [...this.feed, ...fresh].slice(-FEED_LIMIT);
    if (structure) this.restructure();
    else if (counts) this.recount();
    if (incidents) this.incidentTick += 1;
    if (exchanges) this.exchangeTopic.tell();
    for (const id of touched) this.each.get(id)?.tell();
    this.feedTopic.tell();
  }

  private applyOne(event: Event): Change {
    const id = event.workspace_id;
    if (!id) return "none";
    if (STATUS_EVENT.test(event.type)) {
      this.changes.set(id, this.changesOf(id) + 1);
      return this.applyStatus(id, event);
    }
    if (event.type !== "RESTART_ORDERED") return "none";
    const known = this.byId.get(id);
    if (!known) return "none";
    this.changes.set(id, this.changesOf(id) + 1);
    this.byId.set(id, { ...known, restart_pending: true });
    return "other";
  }

  private applyStatus(id: string, event: Event): Change {
    const known = this.byId.get(id);
    const status = event.payload.status as Status;
    if (status === "removed") {
      return this.byId.delete(id) ? "structure" : "none";
    }
    this.stale.add(id);
    if (!known) return "none";
    this.byId.set(id, {
      ...known,
      status,
      conditions: (event.payload.conditions as ConditionView[] | undefined) ?? [],
      restart_pending: status === "online" ? false : known.restart_pending,
    });
    return known.status === status ? "other" : "status";
  }

  /** Delegations that were open as of the event `seq`. */
  openDelegations(open: readonly OpenDelegation[], seq: number): void {
    this.between.snapshot(open, seq);
    this.exchangeTopic.tell();
  }

  /** Events from before the snapshot, oldest first: what a person may have missed. */
  recall(events: readonly Event[]): void {
    const known = new Set(this.notices.map((notice) => notice.seq));
    const newer = this.notices;
    this.notices = [];
    for (const event of events) {
      if (!known.has(event.seq)) this.notice(event);
      this.between.apply(event);
    }
    this.notices = [...newer, ...this.notices].slice(0, NOTICE_LIMIT);
    this.feedTopic.tell();
    this.exchangeTopic.tell();
  }

  private notice(event: Event): void {
    if (event.type === "INCIDENT_OPENED")
      this.linkIncident(
        event.workspace_id,
        event.payload.incident_id ? String(event.payload.incident_id) : null,
      );
    const known = event.workspace_id ? this.byId.get(event.workspace_id) : undefined;
    const notice = noticeOf(event, known?.name ?? "");
    if (notice) this.notices = [notice, ...this.notices].slice(0, NOTICE_LIMIT);
  }

  /** The incident opens with the status that began it: the two are one notice. */
  private linkIncident(workspaceId: string | null, incidentId: string | null): void {
    const index = this.notices.findIndex((notice) => notice.workspaceId === workspaceId);
    const found = this.notices[index];
    if (!found || found.incidentId || !found.type.startsWith("WORKSPACE_")) return;
    this.notices = this.notices.with(index, { ...found, incidentId });
  }

  private restructure(): void {
    this.members = [...this.byId.values()]
      .map((workspace) => ({ workspace, at: Date.parse(workspace.created_at) }))
      .sort((one, other) => one.at - other.at || (one.workspace.id < other.workspace.id ? -1 : 1))
      .map(({ workspace }) => workspace);
    this.recount();
    this.structureTopic.tell();
  }

  private recount(): void {
    const counts = noCounts();
    for (const { status } of this.byId.values()) counts[status] = (counts[status] ?? 0) + 1;
    this.counts = counts;
    this.countsTopic.tell();
  }
}

export const fleet = new FleetStore();

/** One workspace; re-renders only when that one changes. */
export function useWorkspace(id: string | null): WorkspaceView | undefined {
  const subscribe = useCallback(
    (listener: Listener) => (id ? fleet.subscribeTo(id, listener) : () => undefined),
    [id],
  );
  return useSyncExternalStore(subscribe, () => (id ? fleet.get(id) : undefined));
}

export function useMembers(): readonly WorkspaceView[] {
  return useSyncExternalStore(fleet.onStructure, () => fleet.members);
}

export function useCounts(): Counts {
  return useSyncExternalStore(fleet.onCounts, () => fleet.counts);
}

export function useConnection(): Connection {
  return useSyncExternalStore(fleet.onConnection, () => fleet.connection);
}

/** Whether there is anything to show yet. */
export function useLoaded(): boolean {
  return useSyncExternalStore(fleet.onStructure, () => fleet.loaded);
}

/** Why no status may be believed now, in the server's own words; "" normally. */
export function useUnsure(): string {
  return useSyncExternalStore(fleet.onConnection, () => fleet.unsure);
}

export function useFeed(): readonly Event[] {
  return useSyncExternalStore(fleet.onFeed, () => fleet.feed);
}

export function useNotices(): readonly Notice[] {
  return useSyncExternalStore(fleet.onFeed, () => fleet.notices);
}

export function useExchanges(): readonly Exchange[] {
  return useSyncExternalStore(fleet.onExchange, () => fleet.exchanges);
}

/** What one has to do with others, in words; re-renders only when the words change. */
export function useExchangesOf(id: string): string {
  return useSyncExternalStore(fleet.onExchange, () => fleet.exchangesOf(id));
}
