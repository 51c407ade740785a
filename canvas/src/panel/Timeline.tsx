/** What happened to one workspace, newest first, with a bar of its statuses; from the event log, and live. */

import { useMemo, useState } from "react";
import type { WorkspaceView } from "../generated";
import { EventList } from "./EventList";
import { useHistory } from "./history";
import { UptimeBar } from "./UptimeBar";

const TROUBLE = /DEGRADED|OFFLINE|FAILED|REJECTED|INCIDENT_OPENED|REMOVED/;

export function Timeline({ workspace }: { workspace: WorkspaceView }) {
  const { events, older, problem } = useHistory(workspace.id);
  const [failures, setFailures] = useState(false);
  const rows = useMemo(
    () => (failures ? events.filter((event) => TROUBLE.test(event.type)) : events),
    [events, failures],
  );
  return (
    <section className="timeline" aria-label="Timeline">
      <UptimeBar events={events} />
      <label>
        <input type="checkbox" checked={failures} onChange={(event) => setFailures(event.target.checked)} />{" "}
        Only what went wrong
      </label>
      <p className="dim">
        {rows.length} of {events.length} events{older && "; there are older ones in the log"}
      </p>
      {problem && (
        <p role="alert" className="problem">
          {problem}
        </p>
      )}
      <EventList events={rows} />
    </section>
  );
}
