/** Any number of events, newest first; only the rows in the window are mounted, and nothing else follows the scrolling. */

import { memo, useLayoutEffect, useRef, useState } from "react";
import type { Event } from "../generated";
import { moment } from "../time";

/** pixels; the style sheet says the same */
const ROW = 46;
const OVERSCAN = 8;
/** rows by which the mounted ones move at once */
const STRIDE = 4;

/** `events` are oldest first. */
export function EventList({ events }: { events: readonly Event[] }) {
  const box = useRef<HTMLDivElement>(null);
  const [from, setFrom] = useState(0);
  const [rows, setRows] = useState(20);
  const newest = useRef(0);

  useLayoutEffect(() => {
    const measure = () => setRows(Math.ceil((box.current?.clientHeight ?? 600) / ROW));
    measure();
    addEventListener("resize", measure);
    return () => removeEventListener("resize", measure);
  }, []);

  // who has scrolled down reads on where they are, whatever comes above
  useLayoutEffect(() => {
    const before = newest.current;
    newest.current = events.at(-1)?.seq ?? 0;
    const place = box.current;
    if (!place || before === 0 || place.scrollTop < ROW) return;
    const added = events.length - 1 - events.findLastIndex((event) => event.seq <= before);
    if (added > 0 && added < events.length) place.scrollTop += added * ROW;
  }, [events]);

  const first = Math.max(0, Math.min(from, events.length - rows) - OVERSCAN);
  const last = Math.min(events.length, from + rows + STRIDE + OVERSCAN);
  const shown = [];
  for (let row = first; row < last; row += 1) {
    const event = events[events.length - 1 - row];
    if (event) shown.push(<EventRow key={event.seq} event={event} row={row} />);
  }
  return (
    <div
      className="events"
      ref={box}
      onScroll={(event) => setFrom(Math.floor(event.currentTarget.scrollTop / ROW / STRIDE) * STRIDE)}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
      tabIndex={0}
      role="log"
      aria-label="Events"
    >
      <ol style={{ height: events.length * ROW }}>{shown}</ol>
    </div>
  );
}

const EventRow = memo(function EventRow({ event, row }: { event: Event; row: number }) {
  const told = text(event);
  return (
    <li style={{ top: row * ROW }} aria-posinset={row + 1}>
      <time dateTime={event.at}>{moment(event.at)}</time> <strong>{words(event)}</strong>
      <span className="event-text" title={told} dir="auto">
        {told}
      </span>
    </li>
  );
});

function words(event: Event): string {
  return event.type
    .replace(/^WORKSPACE_/, "")
    .replaceAll("_", " ")
    .toLowerCase();
}

function text(event: Event): string {
  const told = event.payload;
  return String(
    told.sample_error || told.message || told.detail || told.recovery || told.reason || event.cause || "",
  );
}
