/** One workspace's card. Re-renders only when that workspace changed. */

import { Handle, type NodeProps, Position } from "@xyflow/react";
import { memo } from "react";
import { matcher } from "../filter";
import { go, useFilter, useIsSelected } from "../place";
import { Pill } from "../shell/Pill";
import { doing, isTrouble, reason } from "../status";
import { useExchangesOf, useWorkspace } from "../store";
import { focusedId, onCardFocus } from "./roving";

function Card({ id }: NodeProps) {
  const workspace = useWorkspace(id);
  const selected = useIsSelected(id);
  const filter = useFilter();
  const exchanges = useExchangesOf(id);
  if (!workspace) return null;
  const trouble = isTrouble(workspace.status);
  const why = reason(workspace);
  return (
    <>
      <button
        type="button"
        className={`card is-${workspace.status}${trouble ? " is-trouble" : ""}${matcher(filter)(workspace) ? "" : " is-filtered-out"}`}
        id={`card-${id}`}
        aria-pressed={selected}
        aria-describedby={exchanges ? `says-${id}` : undefined}
        tabIndex={focusedId() === id ? 0 : -1}
        onFocus={() => onCardFocus(id)}
        onClick={() => go({ selected: id })}
      >
        <Handle type="target" position={Position.Left} isConnectable={false} />
        <Handle type="source" position={Position.Right} isConnectable={false} />
        <bdi className="card-name">{workspace.name}</bdi>
        {workspace.role && <bdi className="card-role">{workspace.role}</bdi>}
        <Pill status={workspace.status} />
        {trouble && why ? (
          <bdi className="card-why">{why}</bdi>
        ) : (
          <span className="card-doing">
            {workspace.restart_pending ? "restart ordered" : workspace.note || doing(workspace)}
          </span>
        )}
      </button>
      {exchanges && (
        <span id={`says-${id}`} className="visually-hidden">
          {exchanges}
        </span>
      )}
    </>
  );
}

export const WorkspaceNode = memo(Card);
