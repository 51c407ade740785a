/** Work that goes from one workspace to another: moving while it lasts, cooling after it ended; a click shows the task. */

import { BaseEdge, EdgeLabelRenderer, type EdgeProps, type ReactFlowState, useStore } from "@xyflow/react";
import { memo } from "react";
import { type Pair, saysOf } from "../exchanges";
import { go } from "../place";
import type { Point } from "../route";
import { useWorkspace } from "../store";
import { point, useLit } from "./lit";

export interface ExchangeData extends Record<string, unknown> {
  pair: Pair;
  path: string;
  middle: Point;
}

function Exchange({ id, source, target, data }: EdgeProps) {
  const { pair, path, middle } = data as ExchangeData;
  const lit = useLit(id, source, target);
  const first = pair.exchanges[0];
  const open = () => go({ selected: target, tab: "tasks", detail: first?.taskId ?? null });
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the same task is in the panel's list, for the keyboard
    <g
      className={`exchange is-${pair.look}${lit ? " is-lit" : ""}`}
      onClick={open}
      onMouseEnter={() => point(id)}
      onMouseLeave={() => point(null)}
      data-task={first?.taskId}
    >
      <BaseEdge id={id} path={path} markerEnd={`url(#arrow-${pair.look})`} interactionWidth={18} />
      {lit && <Words pair={pair} at={middle} />}
    </g>
  );
}

export const ExchangeEdge = memo(Exchange);

const zoomOf = (state: ReactFlowState) => state.transform[2];

/** As large on the screen however far away it is. */
function Words({ pair, at }: { pair: Pair; at: Point }) {
  const zoom = useStore(zoomOf);
  const source = useWorkspace(pair.source)?.name ?? "";
  const target = useWorkspace(pair.target)?.name ?? "";
  const scale = Math.min(1 / zoom, 3);
  return (
    <EdgeLabelRenderer>
      <div
        className={`exchange-words is-${pair.look}`}
        style={{ transform: `translate(-50%, -50%) translate(${at.x}px, ${at.y}px) scale(${scale})` }}
      >
        {saysOf(pair.exchanges, source, target)}
      </div>
    </EdgeLabelRenderer>
  );
}
