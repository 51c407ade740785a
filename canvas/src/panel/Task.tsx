/** One task: who asked, what for, what came back as the data that it is, and everything that was asked because of it. */

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { ApiError, call, inWords } from "../api";
import { type DelegationView, paths, type TaskView, type TraceNode, type WorkspaceView } from "../generated";
import { uuid } from "../ids";
import { go } from "../place";
import { useAbilities } from "../role";
import { fleet } from "../store";
import { asks, canCancel, dataOf, final, senderInWords } from "../tasks";
import { duration, moment } from "../time";
import { useAnswer } from "./asker";
import { Box } from "./Chat";
import { sendDraft } from "./drafts";
import { useQuestion } from "./question";
import { Data, Said } from "./Said";
import { TaskPill } from "./TaskPill";
import { Problem } from "./Tasks";
import { Trace } from "./Trace";
import { answeredAt, find, interrupts, nodesOf, spanOf } from "./tree";

interface Story {
  task: TaskView;
  trace: TraceNode;
  /** null: nobody waits for a result of it */
  delegation: DelegationView | null;
  /** this page's clock when the answer came, milliseconds */
  at: number;
}

export function Task({ id, here }: { id: string; here: WorkspaceView }) {
  const [watched, setWatched] = useState<readonly string[]>([here.id]);
  const tick = useSyncExternalStore(fleet.onFeed, () =>
    watched.reduce((sum, one) => sum + (fleet.taskTick.get(one) ?? 0), 0),
  );
  const { answer, problem, again } = useAnswer(id, `${watched.length} ${tick}`, (signal) =>
    story(id, signal),
  );
  const heading = useRef<HTMLHeadingElement>(null);
  const open = answer !== null && [...nodesOf(answer.trace)].some((node) => !final(node.state));
  const later = useLater(answer?.at ?? 0, open);

  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  useEffect(() => {
    if (answer) setWatched([...new Set([here.id, ...[...nodesOf(answer.trace)].map((n) => n.workspace_id)])]);
  }, [answer, here.id]);

  return (
    <section aria-label="Task" className="task-view">
      <button type="button" onClick={() => go({ detail: null })}>
        ← All tasks
      </button>
      <h3 tabIndex={-1} ref={heading}>
        {answer ? <TaskPill state={answer.task.state} /> : "Task"}
      </h3>
      <Problem text={problem} />
      {answer && (
        <>
          <Facts story={answer} later={later} />
          <Content story={answer} again={again} />
          <Cancel key={answer.task.state} story={answer} again={again} />
          <Trace root={answer.trace} looked={id} later={later} />
        </>
      )}
    </section>
  );
}

async function story(id: string, signal: AbortSignal): Promise<Story> {
  const [task, trace] = await Promise.all([
    call<TaskView>("GET", paths.task(id), { signal }),
    call<TraceNode>("GET", paths.taskTrace(id), { signal }),
  ]);
  const delegation = task.sender.kind === "workspace" ? await delegationOf(id, signal) : null;
  return { task, trace, delegation, at: Date.now() };
}

/** A message between two workspaces need not be a delegation. */
async function delegationOf(id: string, signal: AbortSignal): Promise<DelegationView | null> {
  try {
    return await call<DelegationView>("GET", paths.delegation(id), { signal });
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** Milliseconds since then, once a second, while there is something to count. */
function useLater(since: number, counting: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    setNow(Date.now());
    if (!counting) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [counting]);
  return since ? Math.max(0, now - since) : 0;
}

function Facts({ story, later }: { story: Story; later: number }) {
  const { task, trace, delegation } = story;
  const node = find(trace, task.id);
  const span = node && spanOf(node, later);
  const now = answeredAt(trace) + later;
  return (
    <dl className="facts">
      <Fact name="Asked by">
        <Asker task={task} />
      </Fact>
      <Fact name="Sent">
        <time dateTime={task.created_at}>{moment(task.created_at)}</time>
      </Fact>
      {span && (
        <Fact name={task.begun || span.worked !== null ? "Waited" : "Waits"}>{duration(span.waited)}</Fact>
      )}
      {span && span.worked !== null && (
        <Fact name={final(task.state) ? "Worked" : "Works for"}>{duration(span.worked)}</Fact>
      )}
      {task.ended_at && (
        <Fact name="Ended">
          <time dateTime={task.ended_at}>{moment(task.ended_at)}</time>
        </Fact>
      )}
      {task.attempt > 1 && <Fact name="Attempt">{task.attempt}</Fact>}
      {delegation?.deadline_at && !final(task.state) && (
        <Fact name="Must end within">
          {duration(Math.max(0, (Date.parse(delegation.deadline_at) - now) / 1000))}
        </Fact>
      )}
      {delegation && final(task.state) && (
        <Fact name="Result">
          {delegation.consumed ? (
            <>
              Used by <bdi>{delegation.source_name}</bdi>
            </>
          ) : (
            <span className="unused">
              Not yet used by <bdi>{delegation.source_name}</bdi>
            </span>
          )}
        </Fact>
      )}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A workspace that is there can be gone to. */
function Asker({ task }: { task: TaskView }) {
  const { sender } = task;
  const words = <bdi>{senderInWords(sender)}</bdi>;
  if (sender.kind !== "workspace" || !fleet.get(sender.id)) return words;
  return (
    <button
      type="button"
      className="plain"
      onClick={() => go({ selected: sender.id, tab: "tasks", tasks: "asked", detail: null })}
    >
      {words}
    </button>
  );
}

function Content({ story, again }: { story: Story; again: () => void }) {
  const { task, trace, delegation } = story;
  const { send } = useAbilities();
  const [problem, setProblem] = useState("");
  /** a reply that may not have arrived; with the same key it counts once however often it is sent */
  const [unsent, setUnsent] = useState<{ text: string; key: string } | null>(null);
  const name = find(trace, task.id)?.workspace_name ?? "it";
  const failed = task.state === "failed" || task.state === "rejected";
  const draft = `task ${task.id}`;
  const reply = async (text: string) => {
    const key = unsent?.text === text ? unsent.key : uuid();
    setUnsent({ text, key });
    try {
      await call<TaskView>("POST", paths.workspaceTasks(task.workspace_id), {
        body: { text, task_id: task.id },
        headers: { "idempotency-key": key },
      });
      setUnsent(null);
      setProblem("");
      again();
      return true;
    } catch (error) {
      setProblem(inWords(error));
      return false;
    }
  };
  const said = task.history.at(-1)?.text === task.answer ? task.history.slice(0, -1) : task.history;
  return (
    <>
      <h4>Asked</h4>
      {task.text ? (
        <Said look="said" text={task.text} />
      ) : (
        <p className="dim">No text, or none for your eyes.</p>
      )}
      <Data name="Data that came with it" parts={dataOf(task.parts)} />
      {said.map((one) => (
        <Said key={one.at + one.role} look={one.role === "user" ? "said" : "answer"} text={one.text} />
      ))}
      {task.answer && (
        <>
          <h4>{failed ? "Failed with" : asks(task.state) ? "Asks" : "Answered"}</h4>
          <Origin delegation={delegation} name={name} />
          <Said look="answer" text={task.answer} />
        </>
      )}
      <Data name="Data that came back" parts={dataOf(task.answer_parts)} />
      {task.artifacts.map((artifact) => (
        <details key={artifact.name}>
          <summary>
            Artifact <bdi>{artifact.name}</bdi>
          </summary>
          <pre>{(artifact.text || JSON.stringify(artifact.parts, null, 2)).slice(0, 100_000)}</pre>
        </details>
      ))}
      {task.reason && task.reason !== task.answer && (
        <p className={failed ? "problem" : "dim"}>{task.reason}</p>
      )}
      {task.availability && !task.availability.able && (
        <p className="waiting">
          {task.availability.reason}
          {task.availability.position !== null && (
            <span>Place in the queue: {task.availability.position}.</span>
          )}
        </p>
      )}
      <Problem text={problem} />
      {asks(task.state) && send && problem && unsent && (
        <>
          <Said look="said" text={unsent.text} />
          <button type="button" onClick={() => sendDraft(draft, () => reply(unsent.text))}>
            Send again
          </button>
        </>
      )}
      {asks(task.state) && send && (
        <Box draft={draft} label={`Answer to ${name}`} send={reply} word="Answer" />
      )}
    </>
  );
}

/** Whose words follow, and what in them is not what it looks like. */
function Origin({ delegation, name }: { delegation: DelegationView | null; name: string }) {
  if (!delegation?.result) return null;
  const { suspicious, tool_calls, truncated } = delegation.result;
  const marks = tool_calls === 0 ? [...suspicious, "was written without the use of any tool"] : suspicious;
  return (
    <>
      <p className="dim">
        Data that <bdi>{name}</bdi> wrote{tool_calls ? `, with ${tool_calls} calls of tools` : ""}. Nobody
        takes orders from it{truncated ? "; who asked gets the beginning of it" : ""}.
      </p>
      {marks.length > 0 && (
        <div className="suspicious">
          <strong>Looks suspicious: it</strong>
          <ul>
            {marks.map((mark) => (
              <li key={mark}>{mark}</li>
            ))}
          </ul>
        </div>
      )}
    </>
  );
}

function Cancel({ story, again }: { story: Story; again: () => void }) {
  const { task, trace } = story;
  const { operate, send } = useAbilities();
  const [asking, setAsking] = useState(false);
  useQuestion(
    asking,
    useCallback(() => setAsking(false), []),
  );
  const [problem, setProblem] = useState("");
  const acting = useRef(false);
  const may = operate || (send && task.sender.kind === "person");
  if (final(task.state) || !may) return null;
  const node = find(trace, task.id);
  const cancel = async () => {
    if (acting.current) return;
    acting.current = true;
    setProblem("");
    try {
      await call<TaskView>("POST", paths.taskCancel(task.id));
      setAsking(false);
      again();
    } catch (error) {
      setProblem(inWords(error));
    } finally {
      acting.current = false;
    }
  };
  return (
    <div className="actions">
      {task.cancel_requested && <output className="pending">Being canceled</output>}
      {canCancel(task) && !asking && (
        <button type="button" className="danger" onClick={() => setAsking(true)}>
          Cancel…
        </button>
      )}
      {canCancel(task) && asking && (
        // biome-ignore lint/a11y/useSemanticElements: it stands in the flow of the panel and blocks nothing else
        <div role="group" className="confirm" aria-label="Confirm: cancel">
          <p>Cancel this task? {interrupts(task, node, node?.workspace_name ?? "its workspace")}</p>
          <button type="button" className="danger" onClick={cancel}>
            Cancel the task
          </button>
          <button type="button" onClick={() => setAsking(false)}>
            Keep it
          </button>
        </div>
      )}
      <Problem text={problem} />
    </div>
  );
}
