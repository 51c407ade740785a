// Generated from the Python protocol by `just fix`; `just check` fails when it is stale.

/** worst first */
export const STATUSES = ["removed", "failed", "offline", "degraded", "provisioning", "online"] as const;
export type Status = (typeof STATUSES)[number];

export const SYMPTOMS = ["awaiting", "wedged", "stalled", "unresponsive", "disagreement", "errors", "silent", "overdue", "quarantined", "removed"] as const;
export type Symptom = (typeof SYMPTOMS)[number];

export const WITNESSES = ["self", "evidence", "silence", "sender", "canary", "supervisor", "platform", "operator"] as const;
export type Witness = (typeof WITNESSES)[number];

export const TASK_STATES = ["submitted", "working", "input-required", "auth-required", "completed", "failed", "canceled", "rejected"] as const;
export type TaskState = (typeof TASK_STATES)[number];

/** What each condition means, and when it opens and closes: the judge's own table. */
export const RULES: Record<Symptom, { status: Status; opens: string; closes: string }> = {
  "removed": {
    "status": "removed",
    "opens": "an operator removes the workspace",
    "closes": "never"
  },
  "quarantined": {
    "status": "failed",
    "opens": "the restart budget is spent",
    "closes": "an operator restarts it, or a newer generation is verified by its canary"
  },
  "overdue": {
    "status": "failed",
    "opens": "no first beat, or no start of a new generation, within the provisioning deadline (or the longer bound that a supervisor declares for starting; counted while its beats come)",
    "closes": "the first beat that says how the runtime is, or an operator restarts it"
  },
  "silent": {
    "status": "offline",
    "opens": "no beat within the lease, or the link is lost longer than its grace",
    "closes": "the next beat"
  },
  "wedged": {
    "status": "degraded",
    "opens": "a beat with runtime_state \"wedged\"; looked at before the error rate; the first reason stays",
    "closes": "a beat with runtime_state \"\" (while a restart is pending: one of a newer generation)"
  },
  "stalled": {
    "status": "degraded",
    "opens": "the evidence in the beats stands still past the phase's bound, or the supervisor measures that the worker's event loop is blocked, its process stopped or its pipe closed",
    "closes": "a beat of the same generation whose evidence moves (not while a restart is pending), or a newer generation is verified"
  },
  "unresponsive": {
    "status": "degraded",
    "opens": "two canaries in a row failed (witness canary), or tasks of two senders, or two tasks, or the only one that it takes at a time, were delivered and did not begin (witness sender)",
    "closes": "a canary passes (if a canary opened it; not while a restart is pending), a delivery succeeds, or (witness sender) begins at last, or a newer generation is verified"
  },
  "disagreement": {
    "status": "degraded",
    "opens": "a beat claims health while two other witnesses (evidence, canary or sender) say otherwise",
    "closes": "fewer than two of them say so, or the runtime admits it"
  },
  "errors": {
    "status": "degraded",
    "opens": "a beat with error_rate >= 0.5",
    "closes": "a beat with error_rate < 0.1"
  },
  "awaiting": {
    "status": "provisioning",
    "opens": "the workspace is created or restarted by an operator, or a new generation is starting",
    "closes": "a beat that says how the runtime is (after a restart: one of a newer generation)"
  }
};

export const paths = {
  a2a: (workspaceId: string) => `/workspaces/${encodeURIComponent(workspaceId)}/a2a`,
  a2aBelow: (workspaceId: string, below: string) => `/workspaces/${encodeURIComponent(workspaceId)}/a2a/${encodeURIComponent(below)}`,
  a2aCard: (workspaceId: string) => `/workspaces/${encodeURIComponent(workspaceId)}/a2a/.well-known/agent-card.json`,
  a2aOldCard: (workspaceId: string) => `/workspaces/${encodeURIComponent(workspaceId)}/a2a/v0.3/.well-known/agent-card.json`,
  canvas: "/",
  canvasAsset: (name: string) => `/assets/${encodeURIComponent(name)}`,
  delegation: (delegationId: string) => `/delegations/${encodeURIComponent(delegationId)}`,
  delegations: (workspaceId: string) => `/workspaces/${encodeURIComponent(workspaceId)}/delegations`,
  delegationCancel: (delegationId: string) => `/delegations/${encodeURIComponent(delegationId)}/cancel`,
  delegationConsumed: (delegationId: string) => `/delegations/${encodeURIComponent(delegationId)}/consumed`,
  docs: "/docs",
  events: "/events",
  healthz: "/healthz",
  heartbeat: "/registry/heartbeat",
  incident: (incidentId: string) => `/incidents/${encodeURIComponent(incidentId)}`,
  incidents: "/incidents",
  link: (workspaceId: string) => `/workspaces/${encodeURIComponent(workspaceId)}/link`,
  notifications: "/notifications",
  notificationsRead: "/notifications/read",
  notificationRead: (notificationId: string) => `/notifications/${encodeURIComponent(notificationId)}/read`,
  notify: (workspaceId: string) => `/workspaces/${encodeURIComponent(workspaceId)}/notify`,
  openapi: "/openapi.json",
  openDelegations: "/delegations",
  peers: (workspaceId: string) => `/workspaces/${encodeURIComponent(workspaceId)}/peers`,
  readyz: "/readyz",
  register: "/registry/register",
  restart: (workspaceId: string) => `/workspaces/${encodeURIComponent(workspaceId)}/restart`,
  session: "/session",
  task: (taskId: string) => `/tasks/${encodeURIComponent(taskId)}`,
  tasks: "/tasks",
  taskCancel: (taskId: string) => `/tasks/${encodeURIComponent(taskId)}/cancel`,
  taskTrace: (taskId: string) => `/tasks/${encodeURIComponent(taskId)}/trace`,
  taskUpdates: (taskId: string) => `/tasks/${encodeURIComponent(taskId)}/updates`,
  token: (tokenId: string) => `/tokens/${encodeURIComponent(tokenId)}`,
  tokens: "/tokens",
  tokenRotate: (tokenId: string) => `/tokens/${encodeURIComponent(tokenId)}/rotate`,
  workspace: (workspaceId: string) => `/workspaces/${encodeURIComponent(workspaceId)}`,
  workspaces: "/workspaces",
  workspaceTasks: (workspaceId: string) => `/workspaces/${encodeURIComponent(workspaceId)}/tasks`,
} as const;

export interface WorkspaceView {
  id: string;
  name: string;
  role: string;
  parent_id: string | null;
  status: Status;
  conditions: ConditionView[];
  generation: number;
  created_at: string;
  registered: boolean;
  linked: boolean;
  last_beat_at: string | null;
  runtime_state: string | null;
  error_rate: number | null;
  sample_error: string | null;
  active_tasks: number | null;
  current_task: string | null;
  uptime_seconds: number | null;
  phase: string | null;
  restarts: number | null;
  worker_pid: number | null;
  note: string | null;
  restart_pending: boolean;
  incident_id: string | null;
  witnesses: WitnessView[];
  evidence: EvidenceView | null;
}

export interface ConditionView {
  symptom: Symptom;
  witness: Witness;
  status: Status;
  detail: string;
  since: string;
}

export interface WitnessView {
  witness: Witness;
  says: string;
  detail: string;
  age: number | null;
  healthy: boolean | null;
}

export interface EvidenceView {
  age: number;
  phase: string;
  phase_age: number;
  unmoved: number;
  counters: Counters;
  loop_lag: number;
  tick_age: number | null;
  process_state: string;
  canary: CanaryView | null;
  stall: string;
  note: string;
  capacity: number;
  holding: string[];
}

export interface Counters {
  turns_started: number;
  turns_finished: number;
  frames: number;
  tools_started: number;
  tools_finished: number;
  canaries_passed: number;
}

export interface CanaryView {
  age: number;
  failures: number;
  detail: string;
}

export interface WorkspacePage {
  workspaces: WorkspaceView[];
  seq: number;
  next: string | null;
  at: string | null;
  unsure: string;
}

export interface RestartReply {
  restart_id: string;
  status: Status;
}

export interface SessionView {
  name: string;
  role: string;
  workspace_id: string | null;
}

export interface Login {
  token: string;
  code: string;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  facts: Record<string, unknown>;
}

export interface Event {
  seq: number;
  at: string;
  type: string;
  workspace_id: string | null;
  payload: Record<string, unknown>;
  cause: string;
}

export interface EventPage {
  events: Event[];
  seq: number;
}

export interface Pulse {
  at: string;
  seq: number;
  unsure: string;
}

export interface IncidentDetail {
  id: string;
  workspace_id: string;
  name: string;
  opened_at: string;
  closed_at: string | null;
  seconds: number;
  symptom: string;
  witness: string;
  detail: string;
  worst: Status;
  generation: number;
  recovery: string;
  timeline: StepView[];
  evidence: EvidenceView | null;
  stack: string;
  stderr_tail: string;
  left_out: number;
}

export interface StepView {
  at: string;
  after: number;
  kind: string;
  by: string;
  status: Status | null;
  text: string;
  action: string;
  generation: number | null;
  facts: Record<string, string>;
}

export interface IncidentView {
  id: string;
  workspace_id: string;
  name: string;
  opened_at: string;
  closed_at: string | null;
  seconds: number;
  symptom: string;
  witness: string;
  detail: string;
  worst: Status;
  generation: number;
  recovery: string;
}

export interface IncidentPage {
  incidents: IncidentView[];
  next: string | null;
}

export interface NewTask {
  text: string;
  parts: Record<string, unknown>[];
  message: Record<string, unknown> | null;
  context_id: string | null;
  task_id: string | null;
  on_unavailable: "queue" | "reject";
  on_interrupt: "fail" | "retry";
  priority: number;
  metadata: Record<string, unknown>;
}

export interface TaskView {
  id: string;
  workspace_id: string;
  context_id: string;
  state: TaskState;
  sender: Sender;
  text: string;
  parts: Record<string, unknown>[];
  message: Record<string, unknown> | null;
  metadata: Record<string, unknown>;
  priority: number;
  on_interrupt: "fail" | "retry";
  attempt: number;
  begun: boolean;
  cancel_requested: boolean;
  answer: string;
  answer_parts: Record<string, unknown>[];
  reason: string;
  updates: number;
  created_at: string;
  updated_at: string;
  ended_at: string | null;
  availability: Availability | null;
  artifacts: Artifact[];
  history: Exchange[];
}

export interface Sender {
  kind: "client" | "person" | "workspace";
  id: string;
  name: string;
}

export interface Availability {
  able: boolean;
  status: Status;
  linked: boolean;
  queued: number;
  restart: "given_up" | "none" | "pending";
  symptom: Symptom | null;
  detail: string;
  since: string | null;
  position: number | null;
  retry_after: number | null;
  reason: string;
}

export interface Artifact {
  name: string;
  parts: Record<string, unknown>[];
  text: string;
}

export interface Exchange {
  role: "agent" | "user";
  at: string;
  text: string;
  parts: Record<string, unknown>[];
  message: Record<string, unknown> | null;
}

export interface TaskPage {
  tasks: TaskView[];
  total: number;
  next: string | null;
  capped: boolean;
}

export interface Update {
  seq: number;
  at: string;
  kind: "artifact" | "available" | "progress" | "reply" | "status" | "text" | "unavailable";
  state: TaskState;
  text: string;
  name: string;
  parts: Record<string, unknown>[];
  final: boolean;
  availability: Availability | null;
}

export interface DelegationView {
  delegation_id: string;
  source_id: string;
  source_name: string;
  target_id: string;
  target_name: string;
  status: "completed" | "failed" | "in_progress" | "pending";
  state: TaskState;
  summary: string;
  response_preview: string;
  error: string;
  depth: number;
  created_at: string;
  updated_at: string;
  context_id: string;
  root_id: string;
  from_task: string | null;
  ended_at: string | null;
  deadline_at: string | null;
  consumed: boolean;
  result: ResultEnvelope | null;
  availability: Availability | null;
}

export interface ResultEnvelope {
  delegation_id: string;
  from_id: string;
  from_name: string;
  asked: string;
  state: string;
  ended_at: string;
  text: string;
  truncated: boolean;
  tool_calls: number | null;
  suspicious: string[];
}

export interface OpenDelegations {
  delegations: OpenDelegation[];
  seq: number;
  left_out: number;
}

export interface OpenDelegation {
  delegation_id: string;
  source_id: string;
  target_id: string;
  state: TaskState;
  created_at: string;
}

export interface TraceNode {
  task_id: string;
  workspace_id: string;
  workspace_name: string;
  sender: Sender;
  state: TaskState;
  summary: string;
  reason: string;
  attempt: number;
  depth: number;
  created_at: string;
  begun_at: string | null;
  ended_at: string | null;
  deadline_at: string | null;
  queued_seconds: number;
  worked_seconds: number | null;
  wake: boolean;
  consumed: boolean;
  children: TraceNode[];
}

export interface NotificationPage {
  notifications: NotificationView[];
  unread: number;
  next: string | null;
}

export interface NotificationView {
  id: string;
  workspace_id: string;
  workspace_name: string;
  at: string;
  type: string;
  message: string;
  link: string;
  delegation_id: string | null;
  read_at: string | null;
}

export interface NotificationsUnread {
  unread: number;
}
