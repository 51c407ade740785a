/** A team: a frame when near, a tile with its counts when far away. Trouble is named, never only counted. */

import { type NodeProps, useReactFlow } from "@xyflow/react";
import { memo, useSyncExternalStore } from "react";
import { matcher } from "../filter";
import type { Status } from "../generated";
import { go, useFilter } from "../place";
import { Glyph } from "../shell/Pill";
import { type Counts, countsInWords, isTrouble, lookOf, noCounts, severity } from "../status";
import { fleet } from "../store";
import { focusCard } from "./roving";

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
    counts[workspace.status] = (counts[workspace.status] ?? 0) + 1;
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

function Tile({ data, positionAbsoluteX: x, positionAbsoluteY: y, width = 0, height = 0 }: NodeProps) {
  const flow = useReactFlow();
  const filter = useFilter();
  const { name, members, near } = data as TeamData;
  const { counts, troubled } = useSyncExternalStore(fleet.onCounts, () => summary(members));
  const open = useSyncExternalStore(fleet.onExchange, () => fleet.openAmong(members));
  if (near) {
    return (
      <div className="team is-near">
        <bdi className="team-name">{name}</bdi>
        <span className="team-counts">{countsInWords(counts)}</span>
      </div>
    );
  }
  const matching = filter
    ? members.filter((id) => {
        const workspace = fleet.get(id);
        return workspace && matcher(filter)(workspace);
      }).length
    : members.length;
  const enter = () => {
    // near enough to read, even if that is less than the whole team
    const whole = Math.min(innerWidth / width, innerHeight / height) * 0.9;
    void flow.setCenter(x + width / 2, y + height / 2, { zoom: Math.max(whole, 0.5), duration: 0 });
    const first = members[0];
    if (first) focusCard(first);
  };
  return (
    <div
      className={`team is-far${troubled.length > 0 ? " is-trouble" : ""}${matching === 0 && troubled.length === 0 ? " is-filtered-out" : ""}`}
    >
      <button type="button" className="team-name" aria-label={`Show team ${name}`} onClick={enter}>
        <bdi>{name}</bdi>
      </button>
      {troubled.slice(0, NAMED).map((one) => (
        <button
          key={one.id}
          type="button"
          className={`team-troubled is-${one.status}`}
          aria-label={`${one.name}, ${lookOf(one.status).word}`}
          onClick={() => go({ selected: one.id })}
        >
          <Glyph status={one.status} /> <bdi>{one.name}</bdi>
        </button>
      ))}
      {troubled.length > NAMED && <span className="team-troubled">and {troubled.length - NAMED} more</span>}
      {filter && (
        <span>
          {matching} of {members.length} match
        </span>
      )}
      <span className="team-counts">
        {(Object.keys(counts) as Status[])
          .filter((status) => counts[status] > 0)
          .map((status) => (
            <span key={status} className={`is-${status}`} title={lookOf(status).word}>
              <Glyph status={status} /> {counts[status]} {lookOf(status).word}
            </span>
          ))}
      </span>
      {open > 0 && (
        <span className="team-exchanges">
          {open === 1 ? "1 delegation open" : `${open} delegations open`}
        </span>
      )}
    </div>
  );
}

export const TeamTile = memo(Tile);
