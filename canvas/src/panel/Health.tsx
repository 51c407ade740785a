/** Who says what, how old it is, and which conditions are open: one sees at a glance who was lying. */

import { useEffect, useState } from "react";
import { serverNow } from "../clock";
import type { WorkspaceView } from "../generated";
import { Pill } from "../shell/Pill";
import { ruleOf, said } from "../status";
import { fleet, useConnection } from "../store";
import { ago, duration, lasting, since } from "../time";

/** each witness's name, and what it is asked */
const WITNESSES: Record<string, [string, string]> = {
  self: ["Self", "what it admits"],
  evidence: ["Evidence", "what is measured"],
  silence: ["Silence", "is it heard"],
  sender: ["Sender", "what its work shows"],
  canary: ["Canary", "does it answer a probe"],
};

/** Seconds since the server was heard, while it is not: the ages that it told last have grown by them. */
function useLate(): number {
  const live = useConnection() === "live";
  const [late, setLate] = useState(0);
  useEffect(() => {
    setLate(0);
    if (live) return;
    const grow = () => setLate(fleet.heardAt > 0 ? Math.max(0, serverNow() - fleet.heardAt) / 1000 : 0);
    grow();
    const timer = setInterval(grow, 1000);
    return () => clearInterval(timer);
  }, [live]);
  return late;
}

export function Health({ workspace }: { workspace: WorkspaceView }) {
  const { evidence } = workspace;
  const now = serverNow();
  const late = useLate();
  return (
    <>
      <section aria-labelledby="conditions">
        <h3 id="conditions">Open conditions</h3>
        {workspace.conditions.length === 0 && <p>None: nobody has anything to say against it.</p>}
        <ul className="conditions">
          {workspace.conditions.map((condition, index) => (
            <li key={condition.symptom}>
              <p>
                <Pill status={condition.status} /> <strong>{condition.symptom}</strong>{" "}
                <span className="dim">
                  said by {condition.witness}, {lasting(since(condition.since, now))}
                </span>
              </p>
              {/* the first one's words stand in the panel's head */}
              {index > 0 && <p>{said(condition, workspace)}</p>}
              <p className="dim">Closes by: {ruleOf(condition.symptom).closes}.</p>
            </li>
          ))}
        </ul>
      </section>
      <section aria-labelledby="witnesses">
        <h3 id="witnesses">Witnesses</h3>
        <table className="witnesses">
          <thead>
            <tr>
              <th scope="col">Witness</th>
              <th scope="col">Says</th>
              <th scope="col">Heard</th>
            </tr>
          </thead>
          <tbody>
            {workspace.witnesses.map((one) => (
              <tr key={one.witness} className={one.healthy === false ? "is-against" : ""}>
                <th scope="row">
                  {WITNESSES[one.witness]?.[0] ?? one.witness}
                  <span className="detail">{WITNESSES[one.witness]?.[1]}</span>
                </th>
                <td>
                  <span aria-hidden="true">{one.healthy === null ? "· " : one.healthy ? "✓ " : "✗ "}</span>
                  {one.says}
                  {one.detail && <span className="detail">{one.detail}</span>}
                </td>
                <td className="age">{one.age === null ? "never" : ago(one.age + late)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {evidence && (
        <section aria-labelledby="evidence">
          <h3 id="evidence">Evidence</h3>
          <dl className="facts">
            <Fact name="Phase" value={`${evidence.phase}, ${lasting(evidence.phase_age + late)}`} />
            <Fact name="Last moved" value={ago(evidence.unmoved + late)} />
            <Fact
              name="Turns"
              value={`${evidence.counters.turns_finished} of ${evidence.counters.turns_started} finished`}
            />
            <Fact
              name="Tools"
              value={`${evidence.counters.tools_finished} of ${evidence.counters.tools_started} finished`}
            />
            <Fact name="Frames seen" value={String(evidence.counters.frames)} />
            <Fact name="Canaries passed" value={String(evidence.counters.canaries_passed)} />
            <Fact name="Loop lag" value={duration(evidence.loop_lag)} />
            <Fact
              name="Generation"
              value={`${workspace.generation}, worker ${workspace.worker_pid ?? "none"}`}
            />
            <Fact name="Restarts" value={String(workspace.restarts ?? 0)} />
          </dl>
          {evidence.note && <p className="note">{evidence.note}</p>}
        </section>
      )}
    </>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
