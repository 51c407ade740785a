/** Work that goes from one workspace to another: hot while it lasts, cooling after it ended; a click shows the exchange. */

import { BaseEdge, type EdgeProps, getBezierPath } from "@xyflow/react";
import { go } from "../place";

export function ExchangeEdge({
  id,
  sourceX,
  sourceY,
  targetX,
  targetY,
  sourcePosition,
  targetPosition,
  target,
  data,
}: EdgeProps) {
  const [path] = getBezierPath({ sourceX, sourceY, targetX, targetY, sourcePosition, targetPosition });
  const { ended, taskId } = data as { ended: boolean; taskId: string };
  const open = () => go({ selected: target, tab: "tasks", detail: taskId });
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the same task is in the panel's list, for the keyboard
    <g className={`exchange ${ended ? "is-cooling" : "is-hot"}`} onClick={open} data-task={taskId}>
      <BaseEdge id={id} path={path} markerEnd="url(#exchange-arrow)" interactionWidth={16} />
    </g>
  );
}
