/**
 * Work that goes from one workspace to another: a snapshot of what is open, and the events after it. Pure of the network
 * and of the clock. What ended is kept for a while, so that one sees what became of it.
 */

import { type Event, type OpenDelegation, TASK_STATES, type TaskState } from "./generated";
import { final } from "./tasks";

/** One piece of work. */
export interface Exchange {
  taskId: string;
  source: string;
  target: string;
  state: TaskState;
  /** when it was asked, and when it came into its state, as far as this page knows; milliseconds */
  asked: number;
  since: number;
  /** the event that told of it last, or that the snapshot was current to */
  seq: number;
}

/** All that goes from one to the other: one edge. */
export interface Pair {
  id: string;
  source: string;
  target: string;
  /** what is open before what has ended, the newest first */
  exchanges: readonly Exchange[];
  look: Look;
}

/** how an edge looks, by what matters most of it */
export type Look = "asks" | "working" | "waiting" | "failed" | "ended";

/** what has ended is shown for so long, milliseconds */
export const COOLING = 60_000;
const LIMIT = 2500;
export const LOOKS: readonly Look[] = ["asks", "working", "waiting", "failed", "ended"];

/** The state that an event put a task into; null for an event that says nothing of the kind. */
export function stateAfter(type: string): TaskState | null {
  if (type === "TASK_REQUEUED") return "submitted";
  const word = type.startsWith("TASK_") ? type.slice("TASK_".length).toLowerCase().replace("_", "-") : "";
  return TASK_STATES.find((state) => state === word) ?? null;
}

export class Exchanges {
  /** the oldest change first */
  private readonly byTask = new Map<string, Exchange>();
  private listed: readonly Exchange[] | null = null;
  /** of each workspace what has not ended, by task */
  private readonly open = new Map<string, Map<string, Exchange>>();

  /** The same array until something changes. */
  get all(): readonly Exchange[] {
    this.listed ??= [...this.byTask.values()];
    return this.listed;
  }

  /** What has not ended and this one asked for, or is asked for; the oldest change first. */
  openOf(id: string): readonly Exchange[] {
    return [...(this.open.get(id)?.values() ?? [])];
  }

  clear(): void {
    this.byTask.clear();
    this.open.clear();
    this.listed = null;
  }

  /** In any order: what is older than what is known of a task changes nothing. Whether something changed. */
  apply(event: Event): boolean {
    const target = event.workspace_id;
    const state = stateAfter(event.type);
    const sender = event.payload.sender as { kind?: string; id?: string } | undefined;
    const taskId = event.payload.task_id;
    if (!target || !state || sender?.kind !== "workspace" || !sender.id || sender.id === target) return false;
    if (typeof taskId !== "string") return false;
    const known = this.byTask.get(taskId);
    if (known && known.seq >= event.seq) return false;
    const at = Date.parse(event.at);
    this.put({
      taskId,
      source: sender.id,
      target,
      state,
      asked: known?.asked ?? at,
      since: at,
      seq: event.seq,
    });
    return true;
  }

  /** What was open as of the event `seq`; events after it that were applied already win. */
  snapshot(open: readonly OpenDelegation[], seq: number): void {
    for (const one of [...open].reverse()) {
      const known = this.byTask.get(one.delegation_id);
      if (known && known.seq > seq) continue;
      const asked = Date.parse(one.created_at);
      this.put({
        taskId: one.delegation_id,
        source: one.source_id,
        target: one.target_id,
        state: one.state,
        asked,
        since: known?.state === one.state ? known.since : asked,
        seq,
      });
    }
  }

  private put(exchange: Exchange): void {
    this.drop(exchange.taskId);
    this.byTask.set(exchange.taskId, exchange);
    if (!final(exchange.state)) {
      for (const end of [exchange.source, exchange.target]) {
        const own = this.open.get(end) ?? new Map<string, Exchange>();
        this.open.set(end, own.set(exchange.taskId, exchange));
      }
    }
    if (this.byTask.size > LIMIT) {
      const all = [...this.byTask.values()];
      const given = all.find((one) => final(one.state)) ?? all[0];
      if (given) this.drop(given.taskId);
    }
    this.listed = null;
  }

  private drop(taskId: string): void {
    const known = this.byTask.get(taskId);
    if (!known) return;
    this.byTask.delete(taskId);
    for (const end of [known.source, known.target]) {
      const own = this.open.get(end);
      if (own?.delete(taskId) && own.size === 0) this.open.delete(end);
    }
  }
}

/** Edges: what is open, and what ended a moment ago; those that matter most first. */
export function pairsOf(exchanges: readonly Exchange[], now: number): Pair[] {
  const found = new Map<string, Exchange[]>();
  for (const exchange of exchanges) {
    if (final(exchange.state) && now - exchange.since > COOLING) continue;
    const id = `${exchange.source}>${exchange.target}`;
    const list = found.get(id);
    if (list) list.push(exchange);
    else found.set(id, [exchange]);
  }
  return [...found]
    .map(([id, list]) => {
      const sorted = list.sort((one, other) => rank(one) - rank(other) || other.since - one.since);
      const first = sorted[0] as Exchange;
      return { id, source: first.source, target: first.target, exchanges: sorted, look: lookOf(sorted) };
    })
    .sort(
      (one, other) =>
        LOOKS.indexOf(one.look) - LOOKS.indexOf(other.look) ||
        (other.exchanges[0]?.since ?? 0) - (one.exchanges[0]?.since ?? 0),
    );
}

function rank(exchange: Exchange): number {
  return final(exchange.state) ? 1 : 0;
}

function lookOf(exchanges: readonly Exchange[]): Look {
  const looks = new Set(exchanges.map((one) => lookFor(one.state)));
  // what has ended says nothing while something is open
  return LOOKS.find((look) => looks.has(look)) ?? "ended";
}

function lookFor(state: TaskState): Look {
  if (state === "input-required" || state === "auth-required") return "asks";
  if (state === "working") return "working";
  if (state === "submitted") return "waiting";
  return state === "completed" || state === "canceled" ? "ended" : "failed";
}

const OF_ONE: Record<TaskState, (target: string) => string> = {
  submitted: (target) => `waits in ${target}'s mailbox`,
  working: (target) => `${target} works on it`,
  "input-required": (target) => `${target} asks something back`,
  "auth-required": (target) => `${target} asks for an authorisation`,
  completed: () => "completed",
  failed: () => "failed",
  canceled: () => "canceled",
  rejected: () => "rejected",
};
const OF_MANY: Record<TaskState, string> = {
  submitted: "waiting",
  working: "worked on",
  "input-required": "asking back",
  "auth-required": "asking for an authorisation",
  completed: "completed",
  failed: "failed",
  canceled: "canceled",
  rejected: "rejected",
};

/** "ada asked grace: grace works on it", or how many of what. */
export function saysOf(exchanges: readonly Exchange[], source: string, target: string): string {
  const [one, ...more] = exchanges;
  if (!one) return "";
  if (more.length === 0) return `${source} asked ${target}: ${OF_ONE[one.state](target)}`;
  const counts = TASK_STATES.map((state) => ({
    state,
    count: exchanges.filter((exchange) => exchange.state === state).length,
  })).filter(({ count }) => count > 0);
  const parts = counts.map(({ state, count }) => `${count} ${OF_MANY[state]}`);
  return `${source} asked ${target} for ${exchanges.length} things: ${parts.join(", ")}`;
}

/** One sentence for each other one that this one asked, or is asked by, and whose work has not ended; "" if none. */
export function saysFor(open: readonly Exchange[], nameOf: (id: string) => string): string {
  const pairs = pairsOf(open, 0);
  const shown = pairs
    .slice(0, 5)
    .map((pair) => saysOf(pair.exchanges, nameOf(pair.source), nameOf(pair.target)));
  if (pairs.length > shown.length) shown.push(`and ${pairs.length - shown.length} more`);
  return shown.length > 0 ? `${shown.join(". ")}.` : "";
}
