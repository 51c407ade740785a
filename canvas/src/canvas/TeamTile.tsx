/** A team: a frame when near, a tile with its counts when far away. Trouble is named, never only counted. */

import type { NodeProps } from "@xyflow/react";
import { memo, useSyncExternalStore } from "react";
import type { Status } from "../generated";
import { Glyph } from "../shell/Pill";
import { type Counts, countsInWords, isTrouble, LOOKS, noCounts, severity } from "../status";
import { fleet } from "../store";

export interface TeamData extends Record<string, unknown> {
  name: string;
  members: readonly string[];
  near: boolean;
}

/** names of troubled members on a tile; the rest is counted */
const NAMED = 3;

interface Summary {
  key: string;
  counts: Counts;
  troubled: { id: string; name: string; status: Status }[];
}

const summaries = new WeakMap<readonly string[], Summary>();

function summary(members: readonly string[]): Summary {
  const counts = noCounts();
  const troubled: Summary["troubled"] = [];
  for (const id of members) {
    const workspace = fleet.get(id);
    if (!workspace) continue;
    counts[workspace.status] += 1;
    if (isTrouble(workspace.status)) troubled.push({ id, name: workspace.name, status: workspace.status });
  }
  troubled.sort((one, other) => severity(one.status) - severity(other.status));
  const key = JSON.stringify([counts, troubled.slice(0, NAMED)]);
  const before = summaries.get(members);
  if (before?.key === key) return before;
  const made = { key, counts, troubled };
  summaries.set(members, made);
  return made;
}

function Tile({ data }: NodeProps) {
  const { name, members, near } = data as TeamData;
  const { counts, troubled } = useSyncExternalStore(fleet.onCounts, () => summary(members));
  if (near) {
    return (
      <div className="team is-near">
        <span className="team-name">{name}</span>
        <span className="team-counts">{countsInWords(counts)}</span>
      </div>
    );
  }
  return (
    <div className={`team is-far${troubled.length > 0 ? " is-trouble" : ""}`}>
      <span className="team-name">{name}</span>
      <span className="team-counts">
        {(Object.keys(counts) as Status[])
          .filter((status) => counts[status] > 0)
          .map((status) => (
            <span key={status} className={`is-${status}`} title={LOOKS[status].word}>
              <Glyph status={status} size={26} /> {counts[status]} {LOOKS[status].word}
            </span>
          ))}
      </span>
      {troubled.slice(0, NAMED).map((one) => (
        <span key={one.id} className={`team-troubled is-${one.status}`}>
          <Glyph status={one.status} size={24} /> {one.name}
        </span>
      ))}
      {troubled.length > NAMED && <span className="team-troubled">and {troubled.length - NAMED} more</span>}
    </div>
  );
}

export const TeamTile = memo(Tile);
