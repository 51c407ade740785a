/**
 * Where everybody stands. Pure, and stable: a workspace keeps its place while others come, go and change, because places
 * are given in the order in which workspaces were made. A place is given away again only when its owner left long ago.
 */

import type { WorkspaceView } from "./generated";

export const CARD = { width: 232, height: 100 } as const;
export const GAP = { x: 22, y: 24 } as const;
const PAD = { x: 22, top: 50, bottom: 22 } as const;
const TEAM_GAP = 44;
/** width by height of a usual block */
const BLOCK_ASPECT = 1.55;
/** members of one block; what is more goes into the next block of the same name */
export const BLOCK_LIMIT = 100;
/** the name of the block of those without a team or a role */
export const LONE = "Agents";

/** so long a place is kept for who left, milliseconds */
export const KEPT = 5 * 60_000;
/** a team with more holes than this, and more holes than members, closes up */
const HOLES = 8;

export interface Member {
  id: string;
  parentId: string | null;
  name: string;
  role: string;
}

export interface Place {
  x: number;
  y: number;
  depth: number;
  block: string;
}

export interface Block {
  id: string;
  name: string;
  members: readonly string[];
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Layout {
  blocks: readonly Block[];
  places: ReadonlyMap<string, Place>;
}

export function memberOf(workspace: WorkspaceView): Member {
  return { id: workspace.id, parentId: workspace.parent_id, name: workspace.name, role: workspace.role };
}

/** Keeps each block's slots over time; `arrange` may be called with every change of the membership. */
export class Arranger {
  /** team -> slot -> workspace id; a slot whose workspace left stays empty for a while */
  private readonly slots = new Map<string, string[]>();
  /** team -> workspace id -> since when it is missing */
  private readonly missing = new Map<string, Map<string, number>>();
  /** the order in which blocks appeared */
  private readonly order: string[] = [];

  private readonly now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.now = now;
  }

  /** `aspect`: width by height of the window that it is for */
  arrange(members: readonly Member[], aspect = 1.6): Layout {
    const byId = new Map(members.map((member) => [member.id, member]));
    const parents = new Set(members.map((member) => member.parentId));
    const teams = new Map<string, Member[]>();
    for (const member of members) {
      const team = teamOf(member, byId, parents);
      const list = teams.get(team);
      if (list) list.push(member);
      else teams.set(team, [member]);
    }
    const blocks: { id: string; name: string; slots: string[]; depths: Map<string, number> }[] = [];
    for (const [team, list] of teams) {
      const root = byId.get(team);
      const name = root?.name ?? team.slice("role:".length);
      const ordered = root ? inHierarchy(root, list) : list.map((member) => ({ id: member.id, depth: 0 }));
      const depths = new Map(ordered.map(({ id, depth }) => [id, depth]));
      const slots = this.fill(
        team,
        ordered.map(({ id }) => id),
      );
      const parts = Math.ceil(slots.length / BLOCK_LIMIT);
      for (let part = 0; part < parts; part += 1) {
        const own = slots.slice(part * BLOCK_LIMIT, (part + 1) * BLOCK_LIMIT);
        if (!own.some((id) => depths.has(id))) continue;
        blocks.push({
          id: `${team}#${part}`,
          name: parts > 1 ? `${name} ${part + 1}` : name,
          slots: own,
          depths,
        });
      }
    }
    for (const { id } of blocks) if (!this.order.includes(id)) this.order.push(id);
    blocks.sort((one, other) => this.order.indexOf(one.id) - this.order.indexOf(other.id));
    return place(blocks, aspect);
  }

  private fill(team: string, ids: readonly string[]): string[] {
    const now = this.now();
    let slots = this.slots.get(team) ?? [];
    const here = new Set(ids);
    const before = this.missing.get(team);
    const missing = new Map<string, number>();
    for (const id of slots) if (!here.has(id)) missing.set(id, before?.get(id) ?? now);
    this.missing.set(team, missing);
    const free = (id: string) => now - (missing.get(id) ?? now) >= KEPT;
    const holes = slots.filter(free).length;
    if (holes > HOLES && holes > slots.length - missing.size) slots = slots.filter((id) => !free(id));
    const known = new Set(slots);
    let hole = 0;
    for (const id of ids) {
      if (known.has(id)) continue;
      while (hole < slots.length && !free(slots[hole] as string)) hole += 1;
      slots[hole] = id; // past the last one it is a new place
    }
    while (slots.length > 0 && free(slots.at(-1) as string)) slots.pop();
    this.slots.set(team, slots);
    return slots;
  }
}

/** The id of its hierarchy's root, or "role:NAME" for one that has neither parent nor children. */
function teamOf(
  member: Member,
  byId: ReadonlyMap<string, Member>,
  parents: ReadonlySet<string | null>,
): string {
  const seen = new Set<string>();
  let top = member;
  while (top.parentId && !seen.has(top.id)) {
    seen.add(top.id);
    const parent = byId.get(top.parentId);
    if (!parent) break;
    top = parent;
  }
  if (top !== member || parents.has(member.id)) return top.id;
  return `role:${member.role || LONE}`;
}

/** The root first, then its children in the order given, each followed by its own. */
function inHierarchy(root: Member, members: readonly Member[]): { id: string; depth: number }[] {
  const children = new Map<string, Member[]>();
  for (const member of members) {
    if (member.parentId && member.id !== root.id) {
      const list = children.get(member.parentId);
      if (list) list.push(member);
      else children.set(member.parentId, [member]);
    }
  }
  const found: { id: string; depth: number }[] = [];
  const seen = new Set<string>();
  const visit = (id: string, depth: number): void => {
    if (seen.has(id)) return;
    seen.add(id);
    found.push({ id, depth });
    for (const child of children.get(id) ?? []) visit(child.id, depth + 1);
  };
  visit(root.id, 0);
  for (const member of members) visit(member.id, 1);
  return found;
}

function columnsFor(count: number): number {
  return Math.max(1, Math.min(10, Math.ceil(Math.sqrt(count * 0.75))));
}

function place(
  blocks: readonly { id: string; name: string; slots: string[]; depths: ReadonlyMap<string, number> }[],
  aspect: number,
): Layout {
  const places = new Map<string, Place>();
  const placed: Block[] = [];
  const perRow = Math.max(1, Math.ceil(Math.sqrt((blocks.length * aspect) / BLOCK_ASPECT) - 0.3));
  let x = 0;
  let y = 0;
  let rowHeight = 0;
  blocks.forEach((block, index) => {
    if (index > 0 && index % perRow === 0) {
      x = 0;
      y += rowHeight + TEAM_GAP;
      rowHeight = 0;
    }
    // room for a whole number of doublings: a block that grows by one does not push its neighbours
    const columns = columnsFor(roomFor(block.slots.length));
    const rows = Math.ceil(block.slots.length / columns);
    const width = PAD.x * 2 + columns * CARD.width + (columns - 1) * GAP.x;
    const height = PAD.top + PAD.bottom + rows * CARD.height + (rows - 1) * GAP.y;
    block.slots.forEach((id, slot) => {
      const depth = block.depths.get(id);
      if (depth === undefined) return;
      places.set(id, {
        x: x + PAD.x + (slot % columns) * (CARD.width + GAP.x),
        y: y + PAD.top + Math.floor(slot / columns) * (CARD.height + GAP.y),
        depth,
        block: block.id,
      });
    });
    const members = block.slots.filter((id) => block.depths.has(id));
    placed.push({ id: block.id, name: block.name, members, x, y, width, height });
    x += width + TEAM_GAP;
    rowHeight = Math.max(rowHeight, height);
  });
  return { blocks: placed, places };
}

function roomFor(count: number): number {
  let room = 4;
  while (room < count) room *= 2;
  return Math.min(room, BLOCK_LIMIT);
}

export interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

export function meets(one: Rectangle, other: Rectangle): boolean {
  return (
    one.x < other.x + other.width &&
    other.x < one.x + one.width &&
    one.y < other.y + other.height &&
    other.y < one.y + one.height
  );
}

/** Blocks and members to be drawn. Far away only blocks, as tiles; near only what the window shows. */
export function visible(
  layout: Layout,
  window: Rectangle,
  near: boolean,
): { blocks: Block[]; members: string[] } {
  const blocks = layout.blocks.filter((block) => meets(block, window));
  if (!near) return { blocks, members: [] };
  const members: string[] = [];
  for (const block of blocks) {
    for (const id of block.members) {
      const spot = layout.places.get(id);
      if (spot && meets({ ...spot, ...CARD }, window)) members.push(id);
    }
  }
  return { blocks, members };
}

export type Direction = "left" | "right" | "up" | "down";

/** The nearest neighbour in that direction; up prefers the parent, down the first child. */
export function neighbour(
  layout: Layout,
  from: string,
  direction: Direction,
  parentOf: (id: string) => string | null,
): string | null {
  const here = layout.places.get(from);
  if (!here) return layout.places.keys().next().value ?? null;
  if (direction === "up") {
    const parent = parentOf(from);
    if (parent && layout.places.has(parent)) return parent;
  }
  if (direction === "down") {
    for (const id of layout.places.keys()) if (parentOf(id) === from) return id;
  }
  let best: string | null = null;
  let bestScore = Number.POSITIVE_INFINITY;
  for (const [id, spot] of layout.places) {
    if (id === from) continue;
    const dx = spot.x - here.x;
    const dy = spot.y - here.y;
    const along = { left: -dx, right: dx, up: -dy, down: dy }[direction];
    const across = Math.abs(direction === "left" || direction === "right" ? dy : dx);
    if (along <= 0 || across > along * 3) continue;
    const score = along + across * 2;
    if (score < bestScore) {
      bestScore = score;
      best = id;
    }
  }
  return best;
}
