/** How long a workspace was in which status, from its events. Pure. */

import type { Event, Status } from "../generated";
import { severity } from "../status";

/** what no server saw, or did not believe itself, is no status */
export type Seen = Status | "unwatched";

export interface Gap {
  /** milliseconds since the epoch */
  from: number;
  until: number;
}

export interface Span {
  status: Seen;
  /** milliseconds since the epoch */
  from: number;
  until: number;
}

/** shorter pauses of the watch are not worth a word, milliseconds */
const UNSEEN = 1000;
const KIND = /^WORKSPACE_(\w+)$/;

export function statusOf(event: Event): Status | null {
  const word = KIND.exec(event.type)?.[1]?.toLowerCase();
  return word ? (word as Status) : null;
}

/** Spans without gaps from the first status event, or `since`, until `now`. Events in their order. */
export function spans(events: readonly Event[], since: number, now: number): Span[] {
  const found: Span[] = [];
  let status: Status | null = null;
  let from = since;
  for (const event of events) {
    const next = statusOf(event);
    if (!next) continue;
    const at = Date.parse(event.at);
    if (at <= since) {
      status = next;
      continue;
    }
    if (status && status !== next) found.push({ status, from, until: at });
    if (status !== next) {
      from = Math.max(at, since);
      status = next;
    }
  }
  if (status && now > from) found.push({ status, from, until: now });
  return found;
}

/** When nobody watched the fleet, or the server that did doubted itself; from the events of no workspace, in order. */
export function gaps(events: readonly Event[], now: number): Gap[] {
  const found: Gap[] = [];
  let doubted: number | null = null;
  for (const event of events) {
    const at = Date.parse(event.at);
    if (event.type === "EXPIRY_SUSPENDED") doubted ??= at;
    if (event.type === "WATCH_BEGAN") {
      const from = Date.parse(String(event.payload.unwatched_since));
      if (at - from > UNSEEN) found.push({ from: Math.min(from, doubted ?? from), until: at });
      else if (doubted !== null) found.push({ from: doubted, until: at });
      doubted = null;
    } else if (event.type === "EXPIRY_RESUMED" && doubted !== null) {
      found.push({ from: doubted, until: at });
      doubted = null;
    }
  }
  if (doubted !== null) found.push({ from: doubted, until: now });
  return found;
}

/** The same spans with those gaps in them: what a status was meanwhile, nobody knows. */
export function withGaps(found: readonly Span[], unseen: readonly Gap[]): Span[] {
  let all = [...found];
  for (const gap of unseen) {
    all = all.flatMap((span) => {
      const [from, until] = [Math.max(span.from, gap.from), Math.min(span.until, gap.until)];
      if (from >= until) return [span];
      const parts: Span[] = [
        { ...span, until: from },
        { status: "unwatched", from, until },
        { ...span, from: until },
      ];
      return parts.filter((part) => part.until > part.from);
    });
  }
  return all;
}

export function unwatched(found: readonly Span[]): number {
  return found.reduce((sum, one) => sum + (one.status === "unwatched" ? one.until - one.from : 0), 0);
}

/** The share of the time that was watched it was online, 0 to 1; null without any. */
export function uptime(found: readonly Span[]): number | null {
  let all = 0;
  let online = 0;
  for (const span of found) {
    if (span.status === "unwatched") continue;
    all += span.until - span.from;
    if (span.status === "online") online += span.until - span.from;
  }
  return all > 0 ? online / all : null;
}

/** "99.9 %": never rounded up to all of it, nor down to nothing. */
export function percent(share: number): string {
  if (share >= 1) return "100 %";
  if (share <= 0) return "0 %";
  return `${Math.min(99.9, Math.max(0.1, share * 100)).toFixed(1)} %`;
}

/** Not to know is better than trouble only. */
function rank(status: Seen): number {
  return status === "unwatched" ? severity("online") - 0.5 : severity(status);
}

/** At most so many stretches: each slot of the time shows the worst status in it, so that no trouble is too short to see. */
export function squeezed(found: readonly Span[], most: number): readonly Span[] {
  const [first, last] = [found[0], found.at(-1)];
  if (found.length <= most || !first || !last) return found;
  const width = (last.until - first.from) / most;
  const worst: Seen[] = [];
  for (const span of found) {
    const from = Math.floor((span.from - first.from) / width);
    const until = Math.min(most, Math.max(from + 1, Math.ceil((span.until - first.from) / width)));
    for (let slot = from; slot < until; slot += 1) {
      const known = worst[slot];
      if (!known || rank(span.status) < rank(known)) worst[slot] = span.status;
    }
  }
  const joined: Span[] = [];
  for (const [slot, status] of worst.entries()) {
    const before = joined.at(-1);
    const until = first.from + (slot + 1) * width;
    if (before?.status === status) before.until = until;
    else joined.push({ status, from: first.from + slot * width, until });
  }
  return joined;
}
