/** What tests are made of. */

import type { Event, Status, TaskView, Update, WorkspaceView } from "../src/generated";

let numbers = 0;

export function workspace(id: string, more: Partial<WorkspaceView> = {}): WorkspaceView {
  numbers += 1;
  return {
    id,
    name: id,
    role: "",
    parent_id: null,
    status: "online",
    conditions: [],
    generation: 1,
    created_at: new Date(1_790_000_000_000 + numbers * 1000).toISOString(),
    registered: true,
    linked: true,
    last_beat_at: null,
    runtime_state: "",
    error_rate: 0,
    sample_error: "",
    active_tasks: 0,
    current_task: "",
    uptime_seconds: 1,
    phase: "idle",
    restarts: 0,
    worker_pid: 1,
    note: "",
    restart_pending: false,
    incident_id: null,
    witnesses: [],
    evidence: null,
    ...more,
  };
}

export function event(
  seq: number,
  type: string,
  id: string | null,
  payload: Record<string, unknown> = {},
): Event {
  const at = new Date(1_790_000_000_000 + seq * 1000).toISOString();
  return { seq, at, type, workspace_id: id, payload, cause: "" };
}

export function flip(seq: number, id: string, status: Status, detail = ""): Event {
  const conditions =
    status === "online"
      ? []
      : [{ symptom: "wedged", witness: "self", status, detail, since: "2026-11-24T00:00:00Z" }];
  return event(seq, `WORKSPACE_${status.toUpperCase()}`, id, {
    status,
    conditions,
    name: id,
    sample_error: detail,
  });
}

export function task(id: string, more: Partial<TaskView> = {}): TaskView {
  return {
    id,
    workspace_id: "w",
    context_id: "c",
    state: "working",
    sender: { kind: "person", id: "", name: "" },
    text: "question",
    parts: [],
    message: null,
    metadata: {},
    priority: 0,
    on_interrupt: "retry",
    attempt: 1,
    begun: true,
    cancel_requested: false,
    answer: "",
    answer_parts: [],
    reason: "",
    updates: 0,
    created_at: "2026-11-24T00:00:00Z",
    updated_at: "2026-11-24T00:00:00Z",
    ended_at: null,
    availability: null,
    artifacts: [],
    history: [],
    ...more,
  };
}

export function update(seq: number, kind: Update["kind"], more: Partial<Update> = {}): Update {
  return {
    seq,
    at: "2026-11-24T00:00:00Z",
    kind,
    state: "working",
    text: "",
    name: "",
    parts: [],
    final: false,
    availability: null,
    ...more,
  };
}
