/** The mailbox of one workspace: what waits, what is worked on, what became of the rest. */

import { useEffect, useState, useSyncExternalStore } from "react";
import { call, inWords } from "../api";
import { paths, type TaskPage, type TaskView, type WorkspaceView } from "../generated";
import { go, useSpot } from "../place";
import { useAbilities } from "../role";
import { fleet } from "../store";
import { moment } from "../time";
import { over } from "./conversation";

export function Tasks({ workspace }: { workspace: WorkspaceView }) {
  const { detail } = useSpot();
  const tick = useSyncExternalStore(fleet.onFeed, () => fleet.taskTick.get(workspace.id) ?? 0);
  const [page, setPage] = useState<TaskPage | null>(null);
  const [problem, setProblem] = useState("");

  useEffect(() => {
    const gone = new AbortController();
    call<TaskPage>("GET", paths.workspaceTasks(workspace.id), { query: { limit: 100 }, signal: gone.signal })
      .then(setPage)
      .catch((error) => gone.signal.aborted || setProblem(inWords(error)));
    return () => gone.abort();
  }, [workspace.id, tick]);

  if (detail) return <Task id={detail} tick={tick} />;
  return (
    <section aria-label="Tasks">
      {problem && (
        <p role="alert" className="problem">
          {problem}
        </p>
      )}
      {page && (
        <p className="dim">
          {page.tasks.length} of {page.total} tasks
        </p>
      )}
      <ol className="rows">
        {page?.tasks.map((task) => (
          <li key={task.id}>
            <button type="button" onClick={() => go({ detail: task.id })}>
              <strong className={`task is-${task.state}`}>{task.state}</strong>
              <time dateTime={task.created_at}>{moment(task.created_at)}</time>
              <span className="dim">from {task.sender.name || task.sender.kind}</span>
              <span className="row-text">{task.text}</span>
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Task({ id, tick }: { id: string; tick: number }) {
  const { send } = useAbilities();
  const [task, setTask] = useState<TaskView | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const gone = new AbortController();
    call<TaskView>("GET", paths.task(id), { signal: gone.signal })
      .then(setTask)
      .catch((error) => gone.signal.aborted || setProblem(inWords(error)));
    return () => gone.abort();
  }, [id, tick]);
  const cancel = () =>
    call<TaskView>("POST", paths.taskCancel(id)).then(setTask, (error) => setProblem(inWords(error)));
  return (
    <section aria-label="Task">
      <button type="button" onClick={() => go({ detail: null })}>
        ← All tasks
      </button>
      {problem && (
        <p role="alert" className="problem">
          {problem}
        </p>
      )}
      {task && (
        <>
          <h3 className={`task is-${task.state}`}>{task.state}</h3>
          <p className="dim">
            From {task.sender.name || task.sender.kind} ({task.sender.kind}), {moment(task.created_at)},
            attempt {task.attempt}.
          </p>
          <h4>Asked</h4>
          <p className="said">{task.text}</p>
          {task.history.map((one) => (
            <p key={one.at + one.role} className={one.role === "user" ? "said" : "answer"}>
              {one.text}
            </p>
          ))}
          {task.answer && (
            <>
              <h4>Answered</h4>
              <p className="answer">{task.answer}</p>
            </>
          )}
          {task.reason && <p className="dim">{task.reason}</p>}
          {task.availability && !task.availability.able && (
            <p className="waiting">{task.availability.reason}</p>
          )}
          {task.artifacts.map((artifact) => (
            <details key={artifact.name}>
              <summary>Artifact {artifact.name}</summary>
              <pre>{artifact.text || JSON.stringify(artifact.parts, null, 2)}</pre>
            </details>
          ))}
          {!over(task) && send && (
            <button type="button" disabled={task.cancel_requested} onClick={cancel}>
              {task.cancel_requested ? "Stopping" : "Cancel"}
            </button>
          )}
        </>
      )}
    </section>
  );
}
