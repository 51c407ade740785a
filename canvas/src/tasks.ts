/** How the states of a task look and read: a glyph, a word and a colour each, so that none depends on colour alone. */

import type { Sender, TaskState, TaskView } from "./generated";

export interface TaskLook {
  word: string;
  /** drawn in a 16 by 16 box; filled shapes unless `hollow` */
  path: string;
  hollow: boolean;
  dashed: boolean;
}

const CIRCLE = "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11z";

export const TASK_LOOKS: Record<TaskState, TaskLook> = {
  submitted: { word: "Waiting", path: CIRCLE, hollow: true, dashed: true },
  working: { word: "Working", path: "M4 2.5 13 8l-9 5.5z", hollow: false, dashed: false },
  "input-required": {
    word: "Asks",
    path: "M5.4 6.2A2.6 2.6 0 1 1 8 8.8v1.4M8 12.2v1.6",
    hollow: true,
    dashed: false,
  },
  "auth-required": {
    word: "Asks for an authorisation",
    path: "M4 7.5h8V14H4zM5.8 7.5V5.2a2.2 2.2 0 0 1 4.4 0v2.3",
    hollow: true,
    dashed: false,
  },
  completed: { word: "Completed", path: "M2.5 8.5 6.2 12 13.5 4", hollow: true, dashed: false },
  failed: { word: "Failed", path: "M3.5 3.5l9 9M12.5 3.5l-9 9", hollow: true, dashed: false },
  canceled: { word: "Canceled", path: "M3.5 3.5h9v9h-9z", hollow: true, dashed: false },
  rejected: { word: "Rejected", path: `${CIRCLE}M4.2 11.8l7.6-7.6`, hollow: true, dashed: false },
};

/** Nothing changes it any more. */
export function final(state: TaskState): boolean {
  return ["completed", "failed", "canceled", "rejected"].includes(state);
}

/** It waits for whoever asked. */
export function asks(state: TaskState): boolean {
  return state === "input-required" || state === "auth-required";
}

/** the name of the token that whoever runs the server holds */
const ADMIN = "TRUEBEAT_ADMIN_TOKEN";

/** Who asked, for people. */
export function senderInWords(sender: Sender): string {
  const name = sender.name === ADMIN ? "the operator" : sender.name || sender.id;
  if (sender.kind === "client") return name === "truebeat" ? "the platform" : `the client ${name}`;
  return name || "somebody";
}

/** What of a message or an answer is no text, as it came. */
export function dataOf(parts: readonly Record<string, unknown>[]): Record<string, unknown>[] {
  return parts.filter((part) => typeof part.text !== "string");
}

export function canCancel(task: TaskView): boolean {
  return !final(task.state) && !task.cancel_requested;
}
