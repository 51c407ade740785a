/** How long a workspace was in which status, from its events. Pure. */

import type { Event, Status } from "../generated";

export interface Span {
  status: Status;
  /** milliseconds since the epoch */
  from: number;
  until: number;
}

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

/** The share of the time it was online, 0 to 1; null without any. */
export function uptime(found: readonly Span[]): number | null {
  let all = 0;
  let online = 0;
  for (const span of found) {
    all += span.until - span.from;
    if (span.status === "online") online += span.until - span.from;
  }
  return all > 0 ? online / all : null;
}
