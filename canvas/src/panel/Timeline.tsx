/** What happened to one workspace, newest first, with a bar of its statuses; from the event log, and live. */

import { useEffect, useMemo, useRef, useState } from "react";
import { eventsSince, inWords } from "../api";
import type { Event, WorkspaceView } from "../generated";
import { LOOKS } from "../status";
import { useFeed } from "../store";
import { duration, moment } from "../time";
import { spans, uptime } from "./uptime";

const ROW = 46;
const OVERSCAN = 8;
const PAGE = 1000;
/** pages read at most */
const PAGES = 20;
const TROUBLE = /DEGRADED|OFFLINE|FAILED|REJECTED|INCIDENT_OPENED|REMOVED/;

export function Timeline({ workspace }: { workspace: WorkspaceView }) {
  const { events, problem } = useEvents(workspace.id);
  const [failures, setFailures] = useState(false);
  const [top, setTop] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const rows = useMemo(
    () => events.filter((event) => !failures || TROUBLE.test(event.type)).reverse(),
    [events, failures],
  );
  const height = box.current?.clientHeight ?? 600;
  const first = Math.max(0, Math.floor(top / ROW) - OVERSCAN);
  const shown = rows.slice(first, Math.ceil((top + height) / ROW) + OVERSCAN);

  return (
    <section className="timeline" aria-label="Timeline">
      <Bar events={events} />
      <label>
        <input type="checkbox" checked={failures} onChange={(event) => setFailures(event.target.checked)} />{" "}
        Only what went wrong
      </label>
      <p className="dim">
        {rows.length} of {events.length} events
      </p>
      {problem && (
        <p role="alert" className="problem">
          {problem}
        </p>
      )}
      <div
        className="events"
        ref={box}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
        tabIndex={0}
        role="log"
        aria-label="Events"
      >
        <ol ref={(list) => list?.style.setProperty("height", `${rows.length * ROW}px`)}>
          {shown.map((event, index) => (
            <li key={event.seq} ref={(row) => row?.style.setProperty("top", `${(first + index) * ROW}px`)}>
              <time dateTime={event.at}>{moment(event.at)}</time> <strong>{words(event)}</strong>
              <span className="event-text">{text(event)}</span>
            </li>
          ))}
        </ol>
      </div>
    </section>
  );
}

function useEvents(workspaceId: string): { events: readonly Event[]; problem: string } {
  const feed = useFeed();
  const [past, setPast] = useState<readonly Event[]>([]);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const gone = new AbortController();
    void (async () => {
      const found: Event[] = [];
      let since = 0;
      try {
        for (let page = 0; page < PAGES; page += 1) {
          const next = await eventsSince(since, { workspace_id: workspaceId, limit: PAGE }, gone.signal);
          found.push(...next.events);
          setPast([...found]);
          if (next.events.length < PAGE) break;
          since = next.events.at(-1)?.seq ?? next.seq;
        }
      } catch (error) {
        if (!gone.signal.aborted) setProblem(inWords(error));
      }
    })();
    return () => gone.abort();
  }, [workspaceId]);
  const events = useMemo(() => {
    const last = past.at(-1)?.seq ?? 0;
    const live = feed.filter((event) => event.workspace_id === workspaceId && event.seq > last);
    return live.length > 0 ? [...past, ...live] : past;
  }, [past, feed, workspaceId]);
  return { events, problem };
}

function Bar({ events }: { events: readonly Event[] }) {
  const now = Date.now();
  const begin = Math.max(now - 24 * 3_600_000, Date.parse(events[0]?.at ?? new Date(now).toISOString()));
  const found = spans(events, begin, now);
  const share = uptime(found);
  return (
    <figure className="uptime">
      <div
        className="bar"
        role="img"
        aria-label={`Online ${share === null ? "0" : (share * 100).toFixed(1)} % of the last ${duration((now - begin) / 1000)}`}
      >
        {found.map((span) => (
          <span
            key={span.from}
            className={`is-${span.status}`}
            title={`${LOOKS[span.status].word}, ${duration((span.until - span.from) / 1000)}`}
            ref={(bar) =>
              bar?.style.setProperty(
                "flex-grow",
                String(Math.max(span.until - span.from, (now - begin) / 400)),
              )
            }
          />
        ))}
      </div>
      <figcaption>
        {share === null ? "No status yet" : `Online ${(share * 100).toFixed(1)} %`} of the last{" "}
        {duration((now - begin) / 1000)}
      </figcaption>
    </figure>
  );
}

function words(event: Event): string {
  return event.type
    .replace(/^WORKSPACE_/, "")
    .replaceAll("_", " ")
    .toLowerCase();
}

function text(event: Event): string {
  const told = event.payload;
  return String(told.sample_error || told.detail || told.recovery || told.reason || event.cause || "");
}
