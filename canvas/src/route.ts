/**
 * The way of an edge from one card to another, through the gutters between cards, so that it never runs behind a card of
 * the two teams that it joins and nobody has to move for it. Pure.
 */

import { CARD, GAP } from "./layout";

export interface Point {
  x: number;
  y: number;
}

export interface Route {
  points: readonly Point[];
  /** where its words stand: between the rows, so that they hide little of the cards */
  middle: Point;
}

const ROUND = 8;
/** so many lanes side by side in a gutter, so far from each other */
const LANES = 5;
const LANE = 3;

/** `id` decides the lane: two edges of the same way seldom lie on each other, and none changes its lane. */
export function route(from: Point, to: Point, id: string): Route {
  const lane = laneOf(id);
  const points = from.y === to.y ? inRow(from, to, lane) : acrossRows(from, to, lane);
  return { points, middle: middleOf(points, from) };
}

function inRow(from: Point, to: Point, lane: number): Point[] {
  const right = to.x > from.x;
  if (Math.abs(to.x - from.x) === CARD.width + GAP.x) {
    const y = from.y + CARD.height / 2 + lane * 4;
    return [
      { x: right ? from.x + CARD.width : from.x, y },
      { x: right ? to.x : to.x + CARD.width, y },
    ];
  }
  // over the heads of those between them
  const start = centre(from) + lane * 6;
  const end = centre(to) + lane * 6;
  const above = from.y - GAP.y / 2 + lane;
  return [
    { x: start, y: from.y },
    { x: start, y: above },
    { x: end, y: above },
    { x: end, y: to.y },
  ];
}

function acrossRows(from: Point, to: Point, lane: number): Point[] {
  const down = to.y > from.y;
  const start = centre(from) + lane * 6;
  const end = centre(to) + lane * 6;
  const leave = { x: start, y: down ? from.y + CARD.height : from.y };
  const arrive = { x: end, y: down ? to.y : to.y + CARD.height };
  const first = leave.y + (down ? 1 : -1) * (GAP.y / 2) + lane;
  const last = arrive.y + (down ? -1 : 1) * (GAP.y / 2) + lane;
  // one gutter is enough for neighbouring rows
  if (Math.abs(first - last) < 1) return [leave, { x: start, y: first }, { x: end, y: first }, arrive];
  // the gutter beside the target's column, on the side that one comes from
  const side = centre(from) <= centre(to) ? to.x - GAP.x / 2 : to.x + CARD.width + GAP.x / 2;
  const beside = side + lane;
  return [
    leave,
    { x: start, y: first },
    { x: beside, y: first },
    { x: beside, y: last },
    { x: end, y: last },
    arrive,
  ];
}

function centre(spot: Point): number {
  return spot.x + CARD.width / 2;
}

/** -2 … 2 times the distance of lanes, the same for the same id. */
function laneOf(id: string): number {
  let hash = 0;
  for (let index = 0; index < id.length; index += 1) hash = (hash * 31 + id.charCodeAt(index)) | 0;
  return ((Math.abs(hash) % LANES) - (LANES - 1) / 2) * LANE;
}

/** In the middle of its longest way along a gutter; a hop to the neighbour has none, so above the two cards. */
function middleOf(points: readonly Point[], from: Point): Point {
  let [best, longest] = [{ x: (points[0] as Point).x, y: from.y - GAP.y / 2 }, -1];
  for (const [index, end] of points.slice(1).entries()) {
    const start = points[index] as Point;
    if (start.y !== end.y || Math.abs(end.x - start.x) <= longest) continue;
    longest = Math.abs(end.x - start.x);
    best = { x: (start.x + end.x) / 2, y: points.length === 2 ? best.y : start.y };
  }
  return best;
}

function distance(one: Point, other: Point): number {
  return Math.abs(one.x - other.x) + Math.abs(one.y - other.y);
}

/** As an SVG path with round corners. */
export function pathOf(points: readonly Point[]): string {
  const [start, ...rest] = points;
  if (!start) return "";
  const parts = [`M${start.x} ${start.y}`];
  for (const [index, point] of rest.entries()) {
    const before = points[index] as Point;
    const next = rest[index + 1];
    if (!next) {
      parts.push(`L${point.x} ${point.y}`);
      continue;
    }
    const round = Math.min(ROUND, distance(before, point) / 2, distance(point, next) / 2);
    const [a, b] = [towards(point, before, round), towards(point, next, round)];
    parts.push(`L${a.x} ${a.y}Q${point.x} ${point.y} ${b.x} ${b.y}`);
  }
  return parts.join("");
}

function towards(from: Point, to: Point, by: number): Point {
  return { x: from.x + Math.sign(to.x - from.x) * by, y: from.y + Math.sign(to.y - from.y) * by };
}
