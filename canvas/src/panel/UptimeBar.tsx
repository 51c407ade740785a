/** The statuses of the last day as a bar, and how much of it was online. */

import { useEffect, useMemo, useState } from "react";
import { eventsBefore } from "../api";
import { serverNow } from "../clock";
import type { Event } from "../generated";
import { lookOf } from "../status";
import { useFeed } from "../store";
import { duration } from "../time";
import { gaps, percent, type Seen, spans, squeezed, unwatched, uptime, withGaps } from "./uptime";

const DAY = 24 * 3_600_000;
/** stretches that a bar of this width can show */
const STRETCHES = 160;
/** the bar grows by itself too, milliseconds between two looks at the clock */
const LOOK = 10_000;

export function UptimeBar({ events }: { events: readonly Event[] }) {
  const look = Math.floor(serverNow() / LOOK);
  const fleetEvents = useFleetEvents();
  const { begin, now, share, unseen, stretches } = useMemo(() => {
    const now = Math.max(serverNow(), look * LOOK);
    const begin = Math.max(now - DAY, Date.parse(events[0]?.at ?? new Date(now).toISOString()));
    const found = withGaps(spans(events, begin, now), gaps(fleetEvents, now));
    return {
      begin,
      now,
      share: uptime(found),
      unseen: unwatched(found) / 1000,
      stretches: squeezed(found, STRETCHES),
    };
  }, [events, fleetEvents, look]);
  const last = duration((now - begin) / 1000);
  const time =
    unseen > 0
      ? `what was watched of the last ${last}; nobody watched for ${duration(unseen)}`
      : `the last ${last}`;
  const words = share === null ? "No status yet" : `Online ${percent(share)} of ${time}`;
  return (
    <figure className="uptime">
      <div className="bar" role="img" aria-label={words}>
        {stretches.map((span) => (
          <span
            key={span.from}
            className={`is-${span.status}`}
            title={`${wordOf(span.status)}, ${duration((span.until - span.from) / 1000)}`}
            style={{ flexGrow: Math.max(span.until - span.from, (now - begin) / 400) }}
          />
        ))}
      </div>
      <figcaption>{words}</figcaption>
    </figure>
  );
}

function wordOf(status: Seen): string {
  return status === "unwatched" ? "Nobody watched" : lookOf(status).word;
}

/** Those of no workspace, oldest first: when somebody watched. Without them it is as if somebody always did. */
function useFleetEvents(): readonly Event[] {
  const feed = useFeed();
  const [past, setPast] = useState<readonly Event[]>([]);
  useEffect(() => {
    const gone = new AbortController();
    eventsBefore(null, { fleet: true, limit: 1000 }, gone.signal).then(
      (page) => setPast(page.events),
      () => undefined,
    );
    return () => gone.abort();
  }, []);
  return useMemo(() => {
    const last = past.at(-1)?.seq ?? 0;
    const fresh = feed.filter((event) => event.workspace_id === null && event.seq > last);
    return fresh.length > 0 ? [...past, ...fresh] : past;
  }, [feed, past]);
}
