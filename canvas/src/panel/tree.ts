/** The tree of who asked whom, for the eye. Pure; all moments are the server's, milliseconds. */

import type { TaskView, TraceNode } from "../generated";
import { asks, final, TASK_LOOKS } from "../tasks";

/** A node with where it stands in time, as parts of the whole tree's time. */
export interface Bar {
  /** all of 0 to 1 */
  from: number;
  waited: number;
  worked: number;
}

export function* nodesOf(root: TraceNode): Generator<TraceNode> {
  yield root;
  for (const child of root.children) yield* nodesOf(child);
}

export function find(root: TraceNode, id: string): TraceNode | undefined {
  for (const node of nodesOf(root)) if (node.task_id === id) return node;
  return undefined;
}

/** What would end with it: everything below it that has not ended. */
export function openBelow(node: TraceNode): TraceNode[] {
  return [...nodesOf(node)].filter((one) => one !== node && !final(one.state));
}

/** The server's clock when it answered: what is open was counted up to then. */
export function answeredAt(root: TraceNode): number {
  let at = 0;
  for (const node of nodesOf(root)) {
    const counted = (node.queued_seconds + (node.worked_seconds ?? 0)) * 1000;
    at = Math.max(at, Date.parse(node.ended_at ?? node.created_at), Date.parse(node.created_at) + counted);
  }
  return at;
}

/** Seconds that it waited and was worked on, `later` milliseconds after the answer. */
export function spanOf(node: TraceNode, later: number): { waited: number; worked: number | null } {
  const more = final(node.state) ? 0 : later / 1000;
  if (node.worked_seconds === null) return { waited: node.queued_seconds + more, worked: null };
  return { waited: node.queued_seconds, worked: node.worked_seconds + more };
}

/** Each task's bar on one time scale, from the first message to the last end, or to now. */
export function bars(root: TraceNode, later: number): Map<string, Bar> {
  const begin = Date.parse(root.created_at);
  const open = [...nodesOf(root)].some((node) => !final(node.state));
  const end = answeredAt(root) + (open ? later : 0);
  const whole = Math.max(end - begin, 1);
  const found = new Map<string, Bar>();
  for (const node of nodesOf(root)) {
    const { waited, worked } = spanOf(node, later);
    const from = part((Date.parse(node.created_at) - begin) / whole);
    const waiting = Math.min(part((waited * 1000) / whole), 1 - from);
    found.set(node.task_id, {
      from,
      waited: waiting,
      worked: Math.min(part(((worked ?? 0) * 1000) / whole), 1 - from - waiting),
    });
  }
  return found;
}

function part(share: number): number {
  return Math.min(Math.max(share, 0), 1);
}

/** The first so many, from the root down and always with those above them; and the one that is looked at with its way. */
export function within(root: TraceNode, limit: number, looked: string): Set<string> {
  const shown = new Set<string>();
  for (const node of nodesOf(root)) {
    if (shown.size >= limit) break;
    shown.add(node.task_id);
  }
  for (const node of wayTo(root, looked)) shown.add(node.task_id);
  return shown;
}

function wayTo(node: TraceNode, id: string): TraceNode[] {
  if (node.task_id === id) return [node];
  for (const child of node.children) {
    const way = wayTo(child, id);
    if (way.length > 0) return [node, ...way];
  }
  return [];
}

/** "5 tasks in 3 workspaces, 2 open". */
export function treeInWords(root: TraceNode): string {
  const nodes = [...nodesOf(root)];
  const open = nodes.filter((node) => !final(node.state)).length;
  const places = new Set(nodes.map((node) => node.workspace_id)).size;
  const tasks = nodes.length === 1 ? "1 task" : `${nodes.length} tasks`;
  const where = places === 1 ? "1 workspace" : `${places} workspaces`;
  return `${tasks} in ${where}, ${open === 0 ? "all ended" : `${open} open`}`;
}

/** What a cancel of the task would interrupt, in sentences. */
export function interrupts(task: TaskView, node: TraceNode | undefined, name: string): string {
  const said = [ofItself(task, name)];
  if (task.state === "working" && task.availability?.linked === false)
    said.push(`${name} can't be reached now, so it may go on all the same.`);
  const below = node ? openBelow(node) : [];
  if (below.length > 0) {
    const named = below
      .slice(0, 8)
      .map((one) => `${one.workspace_name} (${TASK_LOOKS[one.state].word.toLowerCase()})`);
    if (below.length > named.length) named.push(`and ${below.length - named.length} more`);
    said.push(`Canceled with it, because it was asked for this: ${named.join(", ")}.`);
  }
  return said.join(" ");
}

function ofItself(task: TaskView, name: string): string {
  if (task.state === "working") return `It interrupts ${name}, which works on it.`;
  if (asks(task.state)) return `${name} asks something about it, which nobody will have to answer.`;
  return `It waits for ${name}; nothing that ${name} does is interrupted.`;
}
