/** The work of one workspace: what it is asked, and what it asked others; one task with all that hangs on it. */

import { type KeyboardEvent, type ReactNode, useCallback, useState, useSyncExternalStore } from "react";
import { call } from "../api";
import { type DelegationView, paths, type TaskPage, type TaskView, type WorkspaceView } from "../generated";
import { go, type TaskList, useSpot } from "../place";
import { fleet } from "../store";
import { final, senderInWords } from "../tasks";
import { duration, moment } from "../time";
import { useAnswer } from "./asker";
import { Task } from "./Task";
import { TaskPill } from "./TaskPill";

const LISTS: Record<TaskList, string> = { all: "Asked of it", open: "Open", asked: "It asked others" };
const OPEN = "submitted,working,input-required,auth-required";
/** tasks of a page; the API gives no more at once */
const PAGE = 200;
/** delegations that are shown: the newest */
const DELEGATIONS = 200;

export function Tasks({ workspace }: { workspace: WorkspaceView }) {
  const { detail, tasks: list } = useSpot();
  const tick = useSyncExternalStore(fleet.onFeed, () => fleet.taskTick.get(workspace.id) ?? 0);
  if (detail) return <Task key={detail} id={detail} here={workspace} />;
  return (
    <section aria-label="Tasks">
      <fieldset className="task-lists">
        <legend className="visually-hidden">Which tasks</legend>
        {Object.entries(LISTS).map(([one, words]) => (
          <button
            key={one}
            type="button"
            aria-pressed={one === list}
            onClick={() => go({ tasks: one as TaskList })}
          >
            {words}
          </button>
        ))}
      </fieldset>
      {list === "asked" ? (
        <Asked key={workspace.id} id={workspace.id} tick={tick} />
      ) : (
        <Mailbox key={`${workspace.id} ${list}`} id={workspace.id} tick={tick} open={list === "open"} />
      )}
    </section>
  );
}

function Mailbox({ id, tick, open }: { id: string; tick: number; open: boolean }) {
  const [wanted, setWanted] = useState(PAGE);
  const { answer, problem } = useAnswer(`${id} ${wanted} ${open}`, tick, (signal) =>
    pages(id, open ? OPEN : undefined, wanted, signal),
  );
  const more = answer ? answer.total - answer.tasks.length : 0;
  return (
    <>
      <Problem text={problem} />
      {answer && (
        <p className="dim">
          {answer.total === 0
            ? open
              ? "Nothing is open."
              : "Nobody has asked it anything yet."
            : `${answer.tasks.length} of ${answer.total} ${answer.total === 1 ? "task" : "tasks"}`}
        </p>
      )}
      <Rows>
        {answer?.tasks.map((task) => (
          <Row key={task.id} id={task.id} state={task.state} at={task.created_at} text={task.text}>
            <span className="dim">
              from <bdi>{senderInWords(task.sender)}</bdi>
            </span>
            <span className="dim">{became(task)}</span>
          </Row>
        ))}
      </Rows>
      {more > 0 && (
        <button type="button" onClick={() => setWanted(wanted + PAGE)}>
          Show more ({more} left)
        </button>
      )}
    </>
  );
}

/** As many pages as it takes. */
async function pages(
  id: string,
  state: string | undefined,
  wanted: number,
  signal: AbortSignal,
): Promise<TaskPage> {
  const found: TaskView[] = [];
  let page: TaskPage;
  let after: string | undefined;
  do {
    page = await call<TaskPage>("GET", paths.workspaceTasks(id), {
      query: { limit: PAGE, state, after },
      signal,
    });
    found.push(...page.tasks);
    after = page.next ?? undefined;
  } while (after && found.length < wanted);
  // one that changed while the pages came is on two of them
  return { ...page, tasks: [...new Map(found.map((task) => [task.id, task])).values()] };
}

function became(task: TaskView): string {
  if (task.ended_at)
    return `after ${duration((Date.parse(task.ended_at) - Date.parse(task.created_at)) / 1000)}`;
  if (task.cancel_requested) return "is being canceled";
  return task.attempt > 1 ? `attempt ${task.attempt}` : "";
}

function Asked({ id, tick }: { id: string; tick: number }) {
  const { answer, problem } = useAnswer(id, tick, (signal) =>
    call<DelegationView[]>("GET", paths.delegations(id), { query: { limit: DELEGATIONS }, signal }),
  );
  return (
    <>
      <Problem text={problem} />
      {answer && (
        <p className="dim">
          {answer.length === 0
            ? "It has not asked anybody yet."
            : answer.length === DELEGATIONS
              ? `The last ${DELEGATIONS} delegations`
              : `${answer.length} ${answer.length === 1 ? "delegation" : "delegations"}`}
        </p>
      )}
      <Rows>
        {answer?.map((one) => (
          <Row
            key={one.delegation_id}
            id={one.delegation_id}
            state={one.state}
            at={one.created_at}
            text={one.summary}
          >
            <span className="dim">
              to <bdi>{one.target_name}</bdi>
            </span>
            {final(one.state) && (
              <span className={one.consumed ? "dim" : "unused"}>
                {one.consumed ? "result used" : "result not yet used"}
              </span>
            )}
          </Row>
        ))}
      </Rows>
    </>
  );
}

/** Rows that the arrow keys go through, besides Tab. */
function Rows({ children }: { children: ReactNode }) {
  return (
    <ol className="rows" onKeyDown={stepThrough}>
      {children}
    </ol>
  );
}

/** Up and down go to the button before and after. */
export function stepThrough(event: KeyboardEvent<HTMLElement>): void {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!step) return;
  const buttons = [...event.currentTarget.querySelectorAll<HTMLElement>("button")];
  const next = buttons[buttons.indexOf(event.target as HTMLElement) + step];
  event.preventDefault();
  next?.focus();
}

interface RowProps {
  id: string;
  state: TaskView["state"];
  at: string;
  text: string;
  children: ReactNode;
}

/** the row that was opened last: whoever comes back finds the focus there */
let opened: string | null = null;

function Row({ id, state, at, text, children }: RowProps) {
  const open = () => {
    opened = id;
    go({ detail: id });
  };
  const found = useCallback(
    (button: HTMLButtonElement | null) => {
      if (!button || opened !== id) return;
      opened = null;
      if (document.activeElement === document.body) button.focus();
    },
    [id],
  );
  return (
    <li>
      <button type="button" onClick={open} ref={found}>
        <TaskPill state={state} />
        <time dateTime={at}>{moment(at)}</time>
        {children}
        <span className="row-text">{text.slice(0, 500)}</span>
      </button>
    </li>
  );
}

export function Problem({ text }: { text: string }) {
  return (
    <p role="alert" className="problem">
      {text}
    </p>
  );
}
