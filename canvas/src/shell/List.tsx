/** The fleet as a table that does what the graph does. Only the rows in the window are mounted. */

import { type KeyboardEvent, useMemo, useRef, useState } from "react";
import { matcher } from "../filter";
import type { WorkspaceView } from "../generated";
import { go, useSpot } from "../place";
import { doing, isTrouble, reason, severity } from "../status";
import { fleet, useCounts, useExchangesOf, useMembers, useWorkspace } from "../store";
import { Pill } from "./Pill";

const ROW = 48;
const OVERSCAN = 10;

/** Those that match, in the order of the list: trouble first. */
export function found(filter: string): WorkspaceView[] {
  const matches = matcher(filter);
  return fleet.members
    .map((member) => fleet.get(member.id))
    .filter((workspace) => workspace !== undefined)
    .filter(matches)
    .sort(
      (one, other) => severity(one.status) - severity(other.status) || one.name.localeCompare(other.name),
    );
}

export function List() {
  const members = useMembers();
  const counts = useCounts(); // a changed status may move a row
  const { filter } = useSpot();
  const [top, setTop] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => {
    void members;
    void counts;
    return found(filter).map((workspace) => workspace.id);
  }, [members, counts, filter]);
  const height = box.current?.clientHeight ?? innerHeight;
  const first = Math.max(0, Math.floor(top / ROW) - OVERSCAN);
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW) + OVERSCAN);
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const from = document.activeElement?.id.replace(/^row-/, "");
    if (!step || !from) return;
    const next = rows[rows.indexOf(from) + step];
    if (!next || !rows.includes(from)) return;
    event.preventDefault();
    document.getElementById(`row-${next}`)?.focus();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the arrows move the focus among the rows within
    <div
      className="list"
      ref={box}
      onKeyDown={onKeyDown}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <table aria-rowcount={rows.length}>
        <caption>
          {rows.length} of {members.length} workspaces, trouble first
        </caption>
        <thead>
          <tr>
            <th scope="col">Workspace</th>
            <th scope="col">Status</th>
            <th scope="col">Doing</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {first > 0 && <Filler height={first * ROW} />}
          {rows.slice(first, last).map((id) => (
            <Row key={id} id={id} />
          ))}
          {last < rows.length && <Filler height={(rows.length - last) * ROW} />}
        </tbody>
      </table>
    </div>
  );
}

function Filler({ height }: { height: number }) {
  return (
    <tr className="filler">
      <td colSpan={4} ref={(cell) => cell?.style.setProperty("height", `${height}px`)} />
    </tr>
  );
}

function Row({ id }: { id: string }) {
  const workspace = useWorkspace(id);
  const { selected } = useSpot();
  const exchanges = useExchangesOf(id);
  if (!workspace) return null;
  const does = [doing(workspace), exchanges].filter(Boolean).join("; ");
  return (
    <tr className={selected === id ? "is-selected" : ""}>
      <th scope="row">
        <button type="button" id={`row-${id}`} onClick={() => go({ selected: id })}>
          <bdi>{workspace.name}</bdi>
        </button>
        <bdi className="row-role">{workspace.role}</bdi>
      </th>
      <td>
        <Pill status={workspace.status} />
      </td>
      <td title={does}>{does}</td>
      <td className="row-why">
        <bdi>{isTrouble(workspace.status) ? reason(workspace) : workspace.note}</bdi>
      </td>
    </tr>
  );
}
