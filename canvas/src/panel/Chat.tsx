/** Talk to one workspace. Everything an agent or a person wrote is shown as text, never as markup. */

import {
  type FormEvent,
  type KeyboardEvent,
  type RefObject,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import type { Availability, WorkspaceView } from "../generated";
import { useAbilities } from "../role";
import { useConnection } from "../store";
import { conversationWith, over, type Turn } from "./conversation";
import { type Send, sendDraft, setDraft, useDraft } from "./drafts";

export function Chat({ workspace }: { workspace: WorkspaceView }) {
  const conversation = conversationWith(workspace.id);
  const turns = useSyncExternalStore(conversation.subscribe, () => conversation.turns);
  const problem = useSyncExternalStore(conversation.subscribe, () => conversation.problem);
  const end = useRef<HTMLDivElement>(null);
  const last = turns.at(-1);
  const { send } = useAbilities();

  const live = useConnection() === "live";
  // what came while there was no connection is read again
  useEffect(() => {
    if (live) void conversation.load();
  }, [conversation, live]);
  useEffect(() => () => conversation.rest(), [conversation]);

  // who reads further up is left there; one's own new message is always shown
  const following = useFollowing(end);
  const said = useRef(0);
  useLayoutEffect(() => {
    const more = turns.length > said.current;
    said.current = turns.length;
    if (more || following.current) end.current?.scrollIntoView({ block: "nearest" });
  }, [turns.length, last?.answer, last?.waiting, following]);

  return (
    <section className="chat" aria-label={`Chat with ${workspace.name}`}>
      <ol className="turns" aria-live="polite" aria-relevant="additions">
        {turns.length === 0 && <li className="dim">Nothing said yet.</li>}
        {turns.map((turn) => (
          <TurnView key={turn.key} turn={turn} workspace={workspace} />
        ))}
      </ol>
      <div ref={end} className="end" />
      <p role="alert" className="problem">
        {problem}
      </p>
      {send && (
        <Box
          draft={`chat ${workspace.id}`}
          label={`Message to ${workspace.name}`}
          send={async (text) => {
            void conversation.send(text); // its turn keeps it until it has arrived
            return true;
          }}
          word="Send"
        />
      )}
      {turns.length > 0 && (
        <button type="button" className="quiet" onClick={() => conversation.startOver()}>
          New conversation
        </button>
      )}
    </section>
  );
}

const STATES: Record<string, string> = {
  submitted: "waiting",
  working: "working",
  failed: "failed",
  canceled: "stopped",
  rejected: "rejected",
  "auth-required": "asks for an authorisation",
  "input-required": "asks",
};

function TurnView({ turn, workspace }: { turn: Turn; workspace: WorkspaceView }) {
  const conversation = conversationWith(workspace.id);
  const { send } = useAbilities();
  const { task } = turn;
  const state = task?.state ?? "submitted";
  const failed = turn.problem || state === "failed" || state === "rejected";
  const asks = state === "input-required" || state === "auth-required";
  const running = task && !over(task);
  return (
    <li className={`turn is-${state}`}>
      <p className="said">{turn.question}</p>
      {between(turn).map((one) => (
        <p key={one.at + one.role} className={one.role === "user" ? "said" : "answer"}>
          {one.text}
        </p>
      ))}
      {turn.answer && <p className={`answer${failed ? " problem" : ""}`}>{turn.answer}</p>}
      {turn.progress && <p className="dim">{turn.progress}</p>}
      {turn.problem && <p className="problem">{turn.problem}</p>}
      {task?.reason && failed && <p className="problem">{task.reason}</p>}
      {turn.waiting && running && <Waiting waiting={turn.waiting} />}
      <p className="turn-foot">
        {state !== "completed" && !turn.problem && <span className="state">{STATES[state]}</span>}
        {running && send && (
          <button type="button" onClick={() => void conversation.stop(task)} disabled={task.cancel_requested}>
            {task.cancel_requested ? "Stopping" : "Stop"}
          </button>
        )}
        {(failed || state === "canceled") && send && (
          <button type="button" onClick={() => void conversation.retry(turn)}>
            Send again
          </button>
        )}
      </p>
      {asks && task && send && (
        <Box
          draft={`task ${task.id}`}
          label={`Answer to ${workspace.name}`}
          send={(text) => conversation.reply(text, task)}
          word="Answer"
        />
      )}
    </li>
  );
}

/** What was asked back and replied before the answer that is shown. */
function between(turn: Turn) {
  const said = turn.task?.history ?? [];
  const last = said.at(-1);
  return last?.role === "agent" && last.text === turn.answer ? said.slice(0, -1) : said;
}

/** The honest answer: why nothing happens, since when, and what is under way. */
function Waiting({ waiting }: { waiting: Availability }) {
  return (
    <output className="waiting">
      {waiting.reason || `It can't take work now: ${waiting.status}`}
      {waiting.position !== null && (
        <span>Place in the queue: {waiting.position}. It is kept, and delivered when it can be.</span>
      )}
      {waiting.restart === "pending" && <span>A restart is under way.</span>}
      {waiting.restart === "given_up" && <span>Restarts were given up; an operator must act.</span>}
    </output>
  );
}

/** pixels below the window that still count as being at the end */
const NEARLY = 30;
/** what the box covers at the bottom, as the style of `.end` has it */
const COVERED = 110;

/** Whether the end is what is looked at; only scrolling changes that, not what is added. */
function useFollowing(end: RefObject<HTMLElement | null>): RefObject<boolean> {
  const following = useRef(true);
  useEffect(() => {
    const onScroll = ({ target }: globalThis.Event) => {
      if (!(target instanceof Element) || !end.current || !target.contains(end.current)) return;
      const { bottom } = target.getBoundingClientRect();
      const left = target.scrollHeight - target.clientHeight - target.scrollTop;
      const below = end.current.getBoundingClientRect().top - (bottom - COVERED);
      following.current = Math.min(left, below) <= NEARLY;
    };
    addEventListener("scroll", onScroll, true);
    return () => removeEventListener("scroll", onScroll, true);
  }, [end]);
  return following;
}

/** One line or more to send by Enter. `draft` names what is typed, wherever else it is shown. */
export function Box({
  draft,
  label,
  send,
  word,
}: {
  draft: string;
  label: string;
  send: Send;
  word: string;
}) {
  const text = useDraft(draft);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent | KeyboardEvent) => {
    event.preventDefault();
    if (!text.trim() || busy) return;
    setBusy(true);
    await sendDraft(draft, send);
    setBusy(false);
  };
  return (
    <form className="box" onSubmit={submit}>
      <textarea
        aria-label={label}
        placeholder={label}
        rows={2}
        value={text}
        onChange={(event) => setDraft(draft, event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) void submit(event);
        }}
      />
      <button type="submit" disabled={busy || !text.trim()}>
        {word}
      </button>
    </form>
  );
}
