/** A task's state as people read it: glyph, word, colour. */

import type { TaskState } from "../generated";
import { TASK_LOOKS } from "../tasks";

export function TaskPill({ state }: { state: TaskState }) {
  const look = TASK_LOOKS[state];
  return (
    <span className={`task task-pill is-${state}`}>
      <svg className="task-glyph" width="13" height="13" viewBox="0 0 16 16" aria-hidden="true">
        <path
          d={look.path}
          fill={look.hollow ? "none" : "currentColor"}
          stroke="currentColor"
          strokeWidth={look.hollow ? 2.2 : 0}
          strokeDasharray={look.dashed ? "3 2.6" : undefined}
          strokeLinecap="round"
        />
      </svg>
      {look.word}
    </span>
  );
}
