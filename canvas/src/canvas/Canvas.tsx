/** The graph: teams as frames, workspaces as cards, live exchanges as edges. Only what the window shows is mounted. */

import {
  Controls,
  type Node,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
  type Viewport,
} from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import {
  type KeyboardEvent,
  type SyntheticEvent,
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import { LOOKS } from "../exchanges";
import { Arranger, CARD, type Direction, type Layout, memberOf, neighbour, visible } from "../layout";
import { useSpot } from "../place";
import { fleet, useMembers } from "../store";
import { ExchangeEdge } from "./ExchangeEdge";
import { useEdges, usePairs, withPartners } from "./edges";
import { focus, point } from "./lit";
import { closePanel, focusCard, focusedId, setFocused } from "./roving";
import { TeamTile } from "./TeamTile";
import { WorkspaceNode } from "./WorkspaceNode";

const nodeTypes = { workspace: WorkspaceNode, team: TeamTile };
const edgeTypes = { exchange: ExchangeEdge };
/** below it teams are tiles */
const NEAR = 0.35;
/** how far beyond the window cards are mounted, in its own size */
const MARGIN = 0.2;
const PRO = { hideAttribution: true };
const ARROWS: Record<string, Direction> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};

const arranger = new Arranger();

/** of the window, not of the graph's box: opening a panel moves nobody */
const SHAPE = matchMedia("(min-aspect-ratio: 1/1)");
function onShape(listener: () => void): () => void {
  SHAPE.addEventListener("change", listener);
  return () => SHAPE.removeEventListener("change", listener);
}

export function Canvas() {
  return (
    <ReactFlowProvider>
      <Graph />
    </ReactFlowProvider>
  );
}

function Graph() {
  const members = useMembers();
  const { selected } = useSpot();
  const wide = useSyncExternalStore(onShape, () => SHAPE.matches);
  const layout = useMemo(() => arranger.arrange(members.map(memberOf), wide ? 1.6 : 0.55), [members, wide]);
  const box = useRef<HTMLDivElement>(null);
  const [viewport, setViewport] = useState<Viewport>({ x: 0, y: 0, zoom: 1 });
  const flow = useReactFlow();
  const frame = useRef(0);
  const fitted = useRef(false);
  /** a person has moved the plane: it is not moved under their hands */
  const moved = useRef(false);

  const near = viewport.zoom >= NEAR;
  const seen = useMemo(
    () => visible(layout, windowOf(viewport, box.current), near),
    [layout, viewport, near],
  );
  const pairs = usePairs(seen.members);
  const shown = useMemo(
    () => ({ blocks: seen.blocks, members: withPartners(seen.members, pairs, layout) }),
    [seen, pairs, layout],
  );
  const nodes = useStable(useMemo(() => nodesOf(layout, shown, near), [layout, shown, near]));
  const { edges, left } = useEdges(pairs, shown.members, layout);

  // what is mounted reaches beyond the window: only a move that could leave that renders anything
  const drawn = useRef(viewport);
  const draw = useCallback((next: Viewport) => {
    drawn.current = next;
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => setViewport(next));
  }, []);
  const onMove = useCallback(
    (event: unknown, next: Viewport) => {
      if (event) moved.current = true;
      const last = drawn.current;
      const zoomed = next.zoom / last.zoom;
      const width = (box.current?.clientWidth ?? innerWidth) * (MARGIN / 2);
      const height = (box.current?.clientHeight ?? innerHeight) * (MARGIN / 2);
      const far = Math.abs(next.x - last.x) > width || Math.abs(next.y - last.y) > height;
      if (!event || far || zoomed > 1.04 || zoomed < 0.96) draw(next);
    },
    [draw],
  );
  const onMoveEnd = useCallback((_: unknown, next: Viewport) => draw(next), [draw]);

  // what is written on tiles keeps its size on the screen, however far away they are
  useEffect(() => {
    const scale = Math.round(10 / Math.max(viewport.zoom, 0.02)) / 10;
    if (!near) box.current?.style.setProperty("--far", String(scale));
  }, [viewport.zoom, near]);

  const fitAll = useCallback(
    (animated: boolean) => {
      const bounds = boundsOf(layout);
      moved.current = false;
      if (bounds) void flow.fitBounds(bounds, { padding: 0.04, duration: animated ? 250 : 0 });
    },
    [flow, layout],
  );

  // whoever came or left: all stay in view until a person looks elsewhere
  const extent = JSON.stringify(boundsOf(layout));
  useEffect(() => {
    if (fitted.current && !moved.current && extent) fitAll(false);
  }, [extent, fitAll]);

  useEffect(() => {
    if (fitted.current || layout.blocks.length === 0) return;
    fitted.current = true;
    if (!focusedId()) setFocused(members[0]?.id ?? null);
    fitAll(false);
  }, [layout, members, fitAll]);

  const reveal = useCallback(
    (id: string) => {
      const spot = layout.places.get(id);
      if (!spot) return;
      const zoom = Math.max(flow.getZoom(), NEAR + 0.25);
      void flow.setCenter(spot.x + CARD.width / 2, spot.y + CARD.height / 2, { zoom, duration: 0 });
    },
    [flow, layout],
  );

  /** Whether it can be seen and read as it is. */
  const inView = useCallback(
    (id: string) => {
      const spot = layout.places.get(id);
      if (!spot) return true;
      const window = windowOf(flow.getViewport(), box.current, 0);
      return (
        flow.getZoom() >= NEAR &&
        spot.x >= window.x &&
        spot.y >= window.y &&
        spot.x + CARD.width <= window.x + window.width &&
        spot.y + CARD.height <= window.y + window.height
      );
    },
    [layout, flow],
  );

  // selected from elsewhere (a notification, the URL): bring it into view
  useEffect(() => {
    if (!selected || !layout.places.has(selected)) return;
    setFocused(selected);
    if (!inView(selected)) reveal(selected);
  }, [selected, layout, reveal, inView]);

  // the panel opens or the window changes: all stay in view, or at least the one that is looked at
  const onResize = useRef<() => void>(() => undefined);
  onResize.current = () => {
    if (!fitted.current) return;
    if (!moved.current) fitAll(false);
    if (selected && !inView(selected)) reveal(selected);
  };
  useEffect(() => {
    if (!box.current) return;
    let waiting = 0;
    const observer = new ResizeObserver(() => {
      cancelAnimationFrame(waiting);
      // React Flow measures itself first
      waiting = requestAnimationFrame(() => requestAnimationFrame(() => onResize.current()));
    });
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    const direction = ARROWS[event.key];
    const from = focusedId() ?? members[0]?.id;
    if (!direction || !from || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = neighbour(layout, from, direction, (id) => fleet.get(id)?.parent_id ?? null);
    if (!next) return;
    if (!inView(next)) {
      moved.current = true;
      reveal(next);
    }
    focusCard(next);
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys move the focus among the cards within
    <div
      className="graph"
      ref={box}
      onKeyDown={onKeyDown}
      onFocus={(event) => focus(cardOf(event))}
      onBlur={() => focus(null)}
      onPointerOver={(event) => {
        const card = cardOf(event);
        if (card) point(card);
      }}
      onPointerOut={(event) => cardOf(event) && point(null)}
    >
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={nodeTypes}
        edgeTypes={edgeTypes}
        onMove={onMove}
        onMoveEnd={onMoveEnd}
        onPaneClick={closePanel}
        minZoom={0.03}
        maxZoom={2}
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        disableKeyboardA11y
        proOptions={PRO}
      >
        <svg className="defs" aria-hidden="true">
          <defs>
            {LOOKS.map((look) => (
              <marker
                key={look}
                id={`arrow-${look}`}
                viewBox="0 0 10 10"
                refX="9"
                refY="5"
                markerUnits="userSpaceOnUse"
                markerWidth="13"
                markerHeight="13"
                orient="auto"
              >
                <path d="M0 0 10 5 0 10z" className={`arrow is-${look}`} />
              </marker>
            ))}
          </defs>
        </svg>
        <Controls showInteractive={false} position="bottom-left" onFitView={() => fitAll(true)} />
      </ReactFlow>
      {left > 0 && <p className="edges-left">and {left} more exchanges</p>}
    </div>
  );
}

/** The workspace whose card it happened on. */
function cardOf(event: SyntheticEvent): string | null {
  const card = event.target instanceof Element ? event.target.closest(".card") : null;
  return card ? card.id.slice("card-".length) : null;
}

/** The visible part of the plane, a little larger than it is. */
function windowOf(viewport: Viewport, box: HTMLDivElement | null, margin: number = MARGIN) {
  const width = (box?.clientWidth ?? innerWidth) / viewport.zoom;
  const height = (box?.clientHeight ?? innerHeight) / viewport.zoom;
  return {
    x: -viewport.x / viewport.zoom - width * margin,
    y: -viewport.y / viewport.zoom - height * margin,
    width: width * (1 + 2 * margin),
    height: height * (1 + 2 * margin),
  };
}

function nodesOf(
  layout: Layout,
  shown: { blocks: Layout["blocks"]; members: string[] },
  near: boolean,
): Node[] {
  const nodes: Node[] = shown.blocks.map((block) => ({
    id: block.id,
    type: "team",
    position: { x: block.x, y: block.y },
    width: block.width,
    height: block.height,
    zIndex: 0,
    data: { name: block.name, members: block.members, near },
  }));
  for (const id of shown.members) {
    const spot = layout.places.get(id);
    if (!spot || !fleet.get(id)) continue;
    nodes.push({
      id,
      type: "workspace",
      position: { x: spot.x, y: spot.y },
      width: CARD.width,
      height: CARD.height,
      zIndex: 2,
      data: {},
    });
  }
  return nodes;
}

/** The same array while its content is the same: panning by a pixel renders nothing. */
function useStable(nodes: Node[]): Node[] {
  const kept = useRef<{ key: string; nodes: Node[] }>({ key: "", nodes: [] });
  const key = nodes
    .map(
      (node) =>
        `${node.id}@${node.position.x},${node.position.y},${node.width}${node.data.near ?? ""}${(node.data.members as readonly string[] | undefined)?.length ?? ""}`,
    )
    .join("|");
  if (key !== kept.current.key) kept.current = { key, nodes };
  return kept.current.nodes;
}

function boundsOf(layout: Layout) {
  const { blocks } = layout;
  if (blocks.length === 0) return null;
  const right = Math.max(...blocks.map((block) => block.x + block.width));
  const bottom = Math.max(...blocks.map((block) => block.y + block.height));
  return { x: 0, y: 0, width: right, height: bottom };
}
