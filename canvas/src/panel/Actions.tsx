/** Restart and remove, each with what it would interrupt; neither can be fired twice. */

import { useCallback, useEffect, useRef, useState } from "react";
import { call, inWords } from "../api";
import { paths, type RestartReply, type TaskView, type WorkspaceView } from "../generated";
import { isTaskId } from "../status";
import { useQuestion } from "./question";

/** characters of a task's text in a question */
const WORDS = 80;

/** What a workspace works on: its own words, or what the task of that id asks; "" while that is not known. */
function useWordsOf(current: string): string {
  const [asked, setAsked] = useState({ id: "", text: "" });
  const byId = isTaskId(current);
  useEffect(() => {
    if (!byId) return;
    const gone = new AbortController();
    call<TaskView>("GET", paths.task(current), { signal: gone.signal }).then(
      (task) => setAsked({ id: current, text: task.text }),
      () => undefined, // the question can be asked without it
    );
    return () => gone.abort();
  }, [byId, current]);
  const words = byId ? (asked.id === current ? asked.text : "") : current;
  return words.length > WORDS ? `${words.slice(0, WORDS)}…` : words;
}

export function Actions({ workspace }: { workspace: WorkspaceView }) {
  const [asking, setAsking] = useState<"restart" | "remove" | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  useQuestion(
    asking !== null,
    useCallback(() => setAsking(null), []),
  );

  /** at once, unlike the state that disables the buttons: a double click comes before that is drawn */
  const acting = useRef(false);
  const act = async () => {
    if (acting.current) return;
    acting.current = true;
    setBusy(true);
    setProblem("");
    try {
      if (asking === "restart") await call<RestartReply>("POST", paths.restart(workspace.id));
      else await call("DELETE", paths.workspace(workspace.id));
      setAsking(null);
    } catch (error) {
      setProblem(inWords(error));
    } finally {
      acting.current = false;
      setBusy(false);
    }
  };

  const running = workspace.active_tasks ?? 0;
  const current = useWordsOf(asking ? (workspace.current_task ?? "") : "");
  const task = current ? ` (“${current}”)` : "";
  const interrupts =
    running > 0
      ? `It interrupts ${running === 1 ? "the task" : `${running} tasks`} that it works on${task}; what allows it is done again.`
      : "It works on nothing now.";

  return (
    <div className="actions">
      {workspace.restart_pending ? (
        <output className="pending">Restart ordered; waiting for the new generation</output>
      ) : (
        <button
          type="button"
          disabled={busy || !workspace.linked}
          onClick={() => setAsking("restart")}
          title={workspace.linked ? "" : "It holds no link, so it can't be restarted from here"}
        >
          Restart
        </button>
      )}
      <button type="button" className="danger" disabled={busy} onClick={() => setAsking("remove")}>
        Remove
      </button>
      {asking && (
        // biome-ignore lint/a11y/useSemanticElements: it stands in the flow of the panel and blocks nothing else
        <div role="group" className="confirm" aria-label={`Confirm: ${asking}`}>
          <p>
            {asking === "restart" ? "Restart" : "Remove"} <bdi>{workspace.name}</bdi>{" "}
            <span className="dim">({workspace.id.slice(0, 8)})</span>
            {asking === "restart" ? "? " : " for good? Its tokens end. "}
            {interrupts}
          </p>
          <button type="button" className={asking === "remove" ? "danger" : ""} disabled={busy} onClick={act}>
            {asking === "restart" ? "Restart now" : "Remove for good"}
          </button>
          <button type="button" disabled={busy} onClick={() => setAsking(null)}>
            Cancel
          </button>
        </div>
      )}
      <p role="alert" className="problem">
        {problem}
      </p>
    </div>
  );
}
