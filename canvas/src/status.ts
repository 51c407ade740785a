/** How the six statuses look and read: a glyph, a word and a colour each, so that none depends on colour alone. */

import { type ConditionView, RULES, STATUSES, type Status, type WorkspaceView } from "./generated";
import { moment } from "./time";

export interface Look {
  word: string;
  /** drawn in a 16 by 16 box; filled shapes unless `hollow` */
  path: string;
  hollow: boolean;
  dashed: boolean;
}

export const LOOKS: Record<Status, Look> = {
  online: { word: "Online", path: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2z", hollow: false, dashed: false },
  degraded: {
    word: "Degraded",
    path: "M8 1.2 15.2 14H.8zM7.2 5.5v4.4h1.6V5.5zm0 5.6v1.6h1.6v-1.6z",
    hollow: false,
    dashed: false,
  },
  provisioning: {
    word: "Provisioning",
    path: "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11z",
    hollow: true,
    dashed: true,
  },
  offline: {
    word: "Offline",
    path: "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM4 12 12 4",
    hollow: true,
    dashed: false,
  },
  failed: {
    word: "Failed",
    path: "M2 2h12v12H2zM5 6.1 6.9 8 5 9.9 6.1 11 8 9.1 9.9 11 11 9.9 9.1 8 11 6.1 9.9 5 8 6.9 6.1 5z",
    hollow: false,
    dashed: false,
  },
  removed: { word: "Removed", path: "M2.5 8h11", hollow: true, dashed: false },
};

/** Also of a status that only a newer server knows. */
export function lookOf(status: Status): Look {
  const known: Look | undefined = LOOKS[status];
  const word = status.charAt(0).toUpperCase() + status.slice(1);
  return known ?? { word, path: "M5.4 6.2A2.6 2.6 0 1 1 8 8.8v1.4M8 12.2v1.6", hollow: true, dashed: false };
}

/** What opens and closes a condition; this page may be older than the server that knows it. */
export function ruleOf(symptom: ConditionView["symptom"]): { opens: string; closes: string } {
  const known: { opens: string; closes: string } | undefined = RULES[symptom];
  return (
    known ?? { opens: `${symptom}: this page is too old to know it; reload`, closes: "the server knows" }
  );
}

/** Statuses that need a person's eye, worst first. */
export const TROUBLE: readonly Status[] = ["failed", "offline", "degraded"];

export function isTrouble(status: Status): boolean {
  return TROUBLE.includes(status);
}

/** Worse first; for lists and tiles. */
export function severity(status: Status): number {
  return STATUSES.indexOf(status);
}

export type Counts = Record<Status, number>;

export function noCounts(): Counts {
  return { removed: 0, failed: 0, offline: 0, degraded: 0, provisioning: 0, online: 0 };
}

/** Every status that is counted, worst first. */
export function counted(counts: Counts): Status[] {
  return (Object.keys(counts) as Status[]).sort((one, other) => severity(one) - severity(other));
}

/** "3 online, 1 degraded": every status that somebody has, trouble first. */
export function countsInWords(counts: Counts): string {
  const parts = counted(counts)
    .filter((status) => counts[status] > 0)
    .map((status) => `${counts[status]} ${lookOf(status).word.toLowerCase()}`);
  return parts.join(", ") || "nobody";
}

const TASK_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether what it works on is said as the id of a task. */
export function isTaskId(current: string): boolean {
  return TASK_ID.test(current);
}

/** What it does, in words: its own, else that it works on a task, else its phase. */
export function doing(workspace: WorkspaceView): string {
  const task = workspace.current_task ?? "";
  if (isTaskId(task)) return `works on a task${workspace.phase ? ` (${workspace.phase})` : ""}`;
  return task || (workspace.phase ?? "");
}

/** The sentence under the pill: why it is not online; "" when there is nothing to say. */
export function reason(workspace: WorkspaceView): string {
  const first = workspace.conditions[0];
  return first ? said(first, workspace) : "";
}

const NO_BEAT = /^no beat for ([\d.]+) s$/;

/** What a condition says now: silence goes on, and the error that counts is the newest. */
export function said(condition: ConditionView, workspace: WorkspaceView): string {
  const { symptom, detail } = condition;
  const silence = symptom === "silent" ? NO_BEAT.exec(detail)?.[1] : undefined;
  if (silence) return `no beat since ${moment(Date.parse(condition.since) - Number(silence) * 1000)}`;
  if (symptom === "errors" && workspace.sample_error && workspace.error_rate !== null)
    return `error rate ${workspace.error_rate.toFixed(2)}: ${workspace.sample_error}`;
  return detail || ruleOf(symptom).opens;
}

/** Whether a card would show the same. */
export function sameCard(one: WorkspaceView, other: WorkspaceView): boolean {
  return (
    one.status === other.status &&
    one.phase === other.phase &&
    one.current_task === other.current_task &&
    one.active_tasks === other.active_tasks &&
    one.note === other.note &&
    one.generation === other.generation &&
    one.restart_pending === other.restart_pending &&
    one.sample_error === other.sample_error &&
    JSON.stringify(one.conditions) === JSON.stringify(other.conditions)
  );
}
