/** Trouble of the fleet as people are told of it. Pure. */

import type { Event } from "./generated";

/** What a person should know of. */
export interface Notice {
  seq: number;
  at: string;
  type: string;
  workspaceId: string | null;
  name: string;
  text: string;
  /** what it is about, when the event says so */
  incidentId: string | null;
  taskId: string | null;
}

const NOTABLE = new Set(["TASK_FAILED", "TASK_REJECTED", "TASK_INPUT_REQUIRED", "INCIDENT_CLOSED"]);

/** null: nothing that a person must know. `name`: its workspace's, where the event does not say it. */
export function noticeOf(event: Event, name: string): Notice | null {
  const trouble = /^WORKSPACE_(DEGRADED|OFFLINE|FAILED)$/.test(event.type);
  if (!trouble && !NOTABLE.has(event.type)) return null;
  const { payload } = event;
  return {
    seq: event.seq,
    at: event.at,
    type: event.type,
    workspaceId: event.workspace_id,
    name: String(payload.name ?? name),
    text: String(payload.sample_error ?? payload.text ?? payload.reason ?? payload.recovery ?? ""),
    incidentId: payload.incident_id ? String(payload.incident_id) : null,
    taskId: payload.task_id ? String(payload.task_id) : null,
  };
}
