/** Counts, connection, search, view, notifications, help, who is logged in. */

import { useRef } from "react";
import type { SessionView } from "../generated";
import { go, useSpot } from "../place";
import { counted, lookOf } from "../status";
import { type Connection, fleet, useConnection, useCounts, useLoaded } from "../store";
import { moment } from "../time";
import { found } from "./List";
import { Notifications } from "./Notifications";
import { Glyph } from "./Pill";

const CONNECTIONS: Record<Connection, string> = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  "signed-out": "Signed out",
  refused: "Refused",
};

export function TopBar({
  session,
  leave,
  help,
}: {
  session: SessionView;
  leave: () => void;
  help: () => void;
}) {
  const counts = useCounts();
  const loaded = useLoaded();
  const connection = useConnection();
  const { filter, view } = useSpot();
  /** where the focus was before the search had it */
  const before = useRef<HTMLElement | null>(null);
  return (
    <header className="topbar">
      <h1>truebeat</h1>
      <ul className="counts" aria-label="Workspaces by status">
        {!loaded && <li>Loading</li>}
        {counted(counts)
          .reverse()
          .filter((status) => loaded && status !== "removed" && (counts[status] > 0 || status === "online"))
          .map((status) => (
            <li key={status}>
              <button
                type="button"
                className={`count is-${status}`}
                aria-pressed={filter === `status:${status}`}
                onClick={() => go({ filter: filter === `status:${status}` ? "" : `status:${status}` })}
              >
                <Glyph status={status} />
                {counts[status]} {lookOf(status).word}
              </button>
            </li>
          ))}
      </ul>
      <input
        id="search"
        type="search"
        placeholder="Search  /"
        aria-label="Search workspaces"
        value={filter}
        onFocus={(event) => {
          before.current = event.relatedTarget instanceof HTMLElement ? event.relatedTarget : null;
        }}
        onChange={(event) => go({ filter: event.target.value })}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            event.stopPropagation();
            go({ filter: "" });
            before.current?.focus();
            // who was there is gone, or there was nobody
            if (document.activeElement === event.currentTarget) document.getElementById("fleet")?.focus();
          } else if (event.key === "Enter") {
            const first = found(filter)[0];
            if (filter.trim() && first) go({ selected: first.id });
          }
        }}
      />
      <output className={`connection is-${connection}`} aria-live="polite">
        {CONNECTIONS[connection]}
        {connection === "reconnecting" && fleet.heardAt > 0 && `, as of ${moment(fleet.heardAt)}`}
      </output>
      <button type="button" onClick={() => go({ view: view === "list" ? "graph" : "list" })}>
        {view === "list" ? "Graph" : "List"}
      </button>
      <Notifications />
      <button type="button" onClick={help} aria-label="Help">
        ?
      </button>
      <button type="button" onClick={leave} title={`${session.name} (${session.role})`}>
        Log out
      </button>
    </header>
  );
}
