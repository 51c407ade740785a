/** What went wrong, from the first symptom to the verified recovery, with stack and actions. */

import { useEffect, useState, useSyncExternalStore } from "react";
import { call, inWords } from "../api";
import {
  type IncidentDetail,
  type IncidentPage,
  type IncidentView,
  paths,
  type WorkspaceView,
} from "../generated";
import { go, useSpot } from "../place";
import { Pill } from "../shell/Pill";
import { fleet } from "../store";
import { duration, lasting, moment } from "../time";

export function Incidents({ workspace }: { workspace: WorkspaceView }) {
  const { detail } = useSpot();
  const tick = useSyncExternalStore(fleet.onFeed, () => fleet.incidentTick);
  const [incidents, setIncidents] = useState<readonly IncidentView[] | null>(null);
  const [problem, setProblem] = useState("");

  useEffect(() => {
    const gone = new AbortController();
    call<IncidentPage>("GET", paths.incidents, {
      query: { workspace_id: workspace.id, limit: 100 },
      signal: gone.signal,
    })
      .then((page) => setIncidents(page.incidents))
      .catch((error) => gone.signal.aborted || setProblem(inWords(error)));
    return () => gone.abort();
  }, [workspace.id, tick]);

  if (detail) return <Incident id={detail} tick={tick} />;
  return (
    <section aria-label="Incidents">
      {problem && (
        <p role="alert" className="problem">
          {problem}
        </p>
      )}
      {incidents?.length === 0 && <p>None so far.</p>}
      <ol className="rows">
        {incidents?.map((incident) => (
          <li key={incident.id}>
            <button type="button" onClick={() => go({ detail: incident.id })}>
              <Pill status={incident.worst} />
              <strong>{incident.symptom}</strong>
              <time dateTime={incident.opened_at}>{moment(incident.opened_at)}</time>
              <span className="row-text">{incident.detail}</span>
              <span className="dim">
                {incident.closed_at
                  ? `${incident.recovery}, after ${duration(incident.seconds)}`
                  : `open ${lasting(incident.seconds)}`}
              </span>
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Incident({ id, tick }: { id: string; tick: number }) {
  const [incident, setIncident] = useState<IncidentDetail | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const gone = new AbortController();
    call<IncidentDetail>("GET", paths.incident(id), { signal: gone.signal })
      .then(setIncident)
      .catch((error) => gone.signal.aborted || setProblem(inWords(error)));
    return () => gone.abort();
  }, [id, tick]);
  return (
    <section aria-label="Incident">
      <button type="button" onClick={() => go({ detail: null })}>
        ← All incidents
      </button>
      {problem && (
        <p role="alert" className="problem">
          {problem}
        </p>
      )}
      {incident && (
        <>
          <h3>
            <Pill status={incident.worst} /> {incident.symptom}
          </h3>
          <p>{incident.detail}</p>
          <p className="dim">
            Said by {incident.witness}, {moment(incident.opened_at)}, generation {incident.generation}.{" "}
            {incident.closed_at
              ? `${incident.recovery}, after ${duration(incident.seconds)}.`
              : `Open ${lasting(incident.seconds)}.`}
          </p>
          <h4>What happened</h4>
          <ol className="steps">
            {incident.timeline.map((step) => (
              <li key={`${step.at}${step.kind}${step.text}`}>
                <time dateTime={step.at}>
                  {step.after >= 0 ? "+" : "−"}
                  {duration(Math.abs(step.after))}
                </time>
                <span>
                  <strong>{step.status ?? step.kind.replaceAll("_", " ")}</strong> {step.text}
                  {step.action && <span className="detail">→ {step.action}</span>}
                </span>
              </li>
            ))}
          </ol>
          {incident.stack && (
            <details>
              <summary>Stack of every thread</summary>
              <pre>{incident.stack}</pre>
            </details>
          )}
          {incident.stderr_tail && (
            <details>
              <summary>Last lines on standard error</summary>
              <pre>{incident.stderr_tail}</pre>
            </details>
          )}
        </>
      )}
    </section>
  );
}
