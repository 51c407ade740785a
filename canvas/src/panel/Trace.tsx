/** The tree of who asked whom: each task with its state, its wait and its work on one time scale; each can be opened. */

import { useState } from "react";
import type { TraceNode } from "../generated";
import { go } from "../place";
import { asks, final, senderInWords } from "../tasks";
import { duration } from "../time";
import { TaskPill } from "./TaskPill";
import { stepThrough } from "./Tasks";
import { type Bar, bars, nodesOf, spanOf, treeInWords, within } from "./tree";

/** tasks shown at first */
const SHOWN = 100;

interface Drawn {
  looked: string;
  later: number;
  bars: ReadonlyMap<string, Bar>;
  shown: ReadonlySet<string>;
}

export function Trace({ root, looked, later }: { root: TraceNode; looked: string; later: number }) {
  const [limit, setLimit] = useState(SHOWN);
  const shown = within(root, limit, looked);
  const left = [...nodesOf(root)].length - shown.size;
  const drawn = { looked, later, bars: bars(root, later), shown };
  return (
    <section className="trace" aria-labelledby="trace-title">
      <h4 id="trace-title">Who asked whom</h4>
      <p className="dim">
        {treeInWords(root)}; begun by <bdi>{senderInWords(root.sender)}</bdi>
      </p>
      <ul onKeyDown={stepThrough}>
        <Node node={root} drawn={drawn} />
      </ul>
      {left > 0 && (
        <button type="button" onClick={() => setLimit(limit + SHOWN * 4)}>
          Show more ({left} left)
        </button>
      )}
    </section>
  );
}

function Node({ node, drawn }: { node: TraceNode; drawn: Drawn }) {
  const children = node.children.filter((child) => drawn.shown.has(child.task_id));
  const bar = drawn.bars.get(node.task_id);
  const open = () => go({ selected: node.workspace_id, tab: "tasks", detail: node.task_id });
  return (
    <li>
      <button
        type="button"
        className="trace-node"
        onClick={open}
        aria-current={node.task_id === drawn.looked ? "true" : undefined}
      >
        <bdi className="trace-name">{node.workspace_name}</bdi>
        <TaskPill state={node.state} />
        <span className="row-text">{node.wake ? <em>{wakeOf(node)}</em> : node.summary}</span>
        {bar && <Span bar={bar} open={!final(node.state)} />}
        <span className="dim trace-times">{times(node, drawn.later)}</span>
      </button>
      {children.length > 0 && (
        <ul>
          {children.map((child) => (
            <Node key={child.task_id} node={child} drawn={drawn} />
          ))}
        </ul>
      )}
    </li>
  );
}

/** Hatched while it waited, full while it was worked on. The words beside it say the same. */
function Span({ bar, open }: { bar: Bar; open: boolean }) {
  const percent = (share: number) => `${(share * 100).toFixed(2)}%`;
  return (
    <span className="trace-bar" aria-hidden="true">
      <span
        className="trace-waited"
        style={{ marginInlineStart: percent(bar.from), width: percent(bar.waited) }}
      />
      <span className={`trace-worked${open ? " is-open" : ""}`} style={{ width: percent(bar.worked) }} />
    </span>
  );
}

function wakeOf(node: TraceNode): string {
  return node.begun_at ? "woken with results" : "to be woken with results";
}

function times(node: TraceNode, later: number): string {
  const { waited, worked } = spanOf(node, later);
  const open = !final(node.state);
  const said = [`${open && worked === null ? "waits" : "waited"} ${duration(waited)}`];
  if (worked !== null && asks(node.state)) said.push(`asks; begun ${duration(worked)} ago`);
  else if (worked !== null) said.push(`${open ? "works for" : "worked"} ${duration(worked)}`);
  if (node.attempt > 1) said.push(`attempt ${node.attempt}`);
  if (node.depth > 0 && final(node.state)) said.push(node.consumed ? "result used" : "result not yet used");
  return said.join(", ");
}
