/** The edges that are drawn, of all the work between workspaces. */

import type { Edge } from "@xyflow/react";
import { useEffect, useMemo, useRef, useState } from "react";
import { serverNow } from "../clock";
import { type Pair, pairsOf } from "../exchanges";
import type { Layout } from "../layout";
import { pathOf, route } from "../route";
import { useExchanges } from "../store";
import { final } from "../tasks";

/** edges drawn at most, those that matter most first; the rest is counted */
export const DRAWN = 150;
/** cards beyond the window that are mounted because an edge leads to them */
const BEYOND = 40;
/** between two looks at what has cooled, milliseconds */
const COOL = 2000;

/** What goes from or to one of these; the same array while nothing changes. */
export function usePairs(members: readonly string[]): readonly Pair[] {
  const all = useExchanges();
  const exchanges = useMemo(() => {
    const seen = new Set(members);
    return seen.size > 0 ? all.filter((one) => seen.has(one.source) || seen.has(one.target)) : [];
  }, [all, members]);
  const [now, setNow] = useState(() => serverNow());
  const cooling = useMemo(() => exchanges.some((one) => final(one.state)), [exchanges]);
  useEffect(() => {
    if (!cooling) return;
    const timer = setInterval(() => setNow(serverNow()), COOL);
    return () => clearInterval(timer);
  }, [cooling]);
  const pairs = useMemo(() => pairsOf(exchanges, now), [exchanges, now]);
  const kept = useRef<readonly Pair[]>([]);
  if (keyOf(pairs) !== keyOf(kept.current)) kept.current = pairs;
  return kept.current;
}

function keyOf(pairs: readonly Pair[]): string {
  return pairs
    .map((pair) => `${pair.id} ${pair.exchanges.map((one) => `${one.taskId}${one.state}`).join()}`)
    .join("|");
}

/** Those of the window, and those at the other end of an edge that leaves it. */
export function withPartners(members: readonly string[], pairs: readonly Pair[], layout: Layout): string[] {
  const shown = new Set(members);
  const beyond: string[] = [];
  for (const { source, target } of pairs) {
    if (beyond.length >= BEYOND) break;
    const other = shown.has(source) ? target : shown.has(target) ? source : null;
    if (other && !shown.has(other) && layout.places.has(other) && !beyond.includes(other)) beyond.push(other);
  }
  return beyond.length > 0 ? [...members, ...beyond] : (members as string[]);
}

/** Edges between mounted cards, and how many more there are. */
export function useEdges(
  pairs: readonly Pair[],
  members: readonly string[],
  layout: Layout,
): { edges: Edge[]; left: number } {
  return useMemo(() => {
    const mounted = new Set(members);
    const both = pairs.filter((pair) => mounted.has(pair.source) && mounted.has(pair.target));
    const edges = both.slice(0, DRAWN).flatMap((pair) => {
      const [from, to] = [layout.places.get(pair.source), layout.places.get(pair.target)];
      if (!from || !to) return [];
      const { points, middle } = route(from, to, pair.id);
      return [
        {
          id: pair.id,
          type: "exchange",
          source: pair.source,
          target: pair.target,
          zIndex: 1,
          data: { pair, path: pathOf(points), middle },
        },
      ];
    });
    return { edges, left: both.length - edges.length };
  }, [pairs, members, layout]);
}
