/**
 * The chat with one workspace: the tasks of one context, each a question and its answer. What is under way streams; after a
 * reload, a lost connection or a visit elsewhere it is read again from the server, which has all of it.
 */

import { ApiError, call, inWords, socket } from "../api";
import {
  type Availability,
  type NewTask,
  paths,
  type TaskPage,
  type TaskView,
  type Update,
} from "../generated";
import { uuid } from "../ids";

export interface Turn {
  /** the task's id, or one of our own until the server gave one */
  key: string;
  task: TaskView | null;
  question: string;
  /** what streamed so far, or the whole answer */
  answer: string;
  progress: string;
  /** why it waits; null while it runs or when it ended */
  waiting: Availability | null;
  /** it could not even be sent */
  problem: string;
}

const CONTEXT_KEY = "truebeat.context.";
const RETRY = 1000;
/** between two looks at the places in the queue of what waits, milliseconds */
const LOOK = 3000;

export class Conversation {
  readonly workspaceId: string;
  turns: readonly Turn[] = [];
  problem = "";
  private context: string;
  private looking: ReturnType<typeof setInterval> | undefined;
  private asking = false;
  /** by task: the reply whose answer never came; sent again with the same key it counts once */
  private readonly replies = new Map<string, { text: string; key: string }>();
  private readonly streams = new Map<string, WebSocket>();
  /** by task: the last update that was seen and the text so far, for a stream that begins again */
  private readonly seen = new Map<string, { seq: number; text: string }>();
  private readonly listeners = new Set<() => void>();

  constructor(workspaceId: string) {
    this.workspaceId = workspaceId;
    this.context = localStorage.getItem(CONTEXT_KEY + workspaceId) ?? this.newContext();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Read what the server has, and follow what is under way. */
  async load(): Promise<void> {
    clearInterval(this.looking);
    this.closeStreams(); // they may be dead, and nobody would tell
    this.looking = setInterval(() => void this.lookAtQueue(), LOOK);
    try {
      const page = await call<TaskPage>("GET", paths.workspaceTasks(this.workspaceId), {
        query: { context_id: this.context, limit: 100 },
      });
      const tasks = [...page.tasks].sort(
        (one, other) => Date.parse(one.created_at) - Date.parse(other.created_at),
      );
      const unsent = this.turns.filter((turn) => !turn.task);
      this.turns = [...tasks.map((task) => this.turnOf(task)), ...unsent];
      this.problem = "";
      for (const task of tasks) if (!over(task)) this.follow(task.id);
    } catch (error) {
      this.problem = inWords(error);
    }
    this.tell();
  }

  /** Leave what is under way alone; it goes on without a listener. */
  rest(): void {
    clearInterval(this.looking);
    this.closeStreams();
  }

  private closeStreams(): void {
    for (const stream of this.streams.values()) stream.close();
    this.streams.clear();
  }

  /** What waits moves up while others go: nobody tells that, so it is asked. */
  async lookAtQueue(): Promise<void> {
    if (document.hidden || this.asking) return;
    this.asking = true;
    await Promise.all(
      this.turns.map(async ({ task, waiting }) => {
        if (!task || !waiting || over(task)) return;
        const now = await call<TaskView>("GET", paths.task(task.id)).catch(() => null);
        if (now) this.change(task.id, (turn) => (turn.waiting ? { ...turn, waiting: waitingOf(now) } : turn));
      }),
    ).finally(() => {
      this.asking = false;
    });
  }

  /** Begin anew: what was said stays on the server. */
  startOver(): void {
    this.closeStreams();
    this.context = this.newContext();
    this.turns = [];
    this.tell();
  }

  /** Answer what a task asks back. Whether it arrived, as far as is known; what did not can be sent again. */
  async reply(text: string, asked: TaskView): Promise<boolean> {
    const before = this.replies.get(asked.id);
    const key = before?.text === text ? before.key : uuid();
    this.replies.set(asked.id, { text, key });
    this.problem = "";
    const arrived = await this.send(text, asked, key);
    if (arrived) this.replies.delete(asked.id);
    return arrived;
  }

  /**
   * With the `key` of an attempt whose answer never came, it is sent once however often it is tried. Whether it arrived.
   */
  async send(text: string, asked: TaskView | null = null, key: string = uuid()): Promise<boolean> {
    const pending: Turn = {
      key,
      task: null,
      question: text,
      answer: "",
      progress: "",
      waiting: null,
      problem: "",
    };
    if (!asked) {
      this.turns = [...this.turns, pending];
      this.tell();
    }
    const body: Partial<NewTask> = { text, context_id: this.context };
    if (asked) body.task_id = asked.id;
    try {
      const task = await call<TaskView>("POST", paths.workspaceTasks(this.workspaceId), {
        body,
        headers: { "idempotency-key": key },
      });
      // it may have been read from the server meanwhile
      if (!asked) this.turns = this.turns.filter((turn) => turn.key !== task.id);
      this.change(asked ? asked.id : key, (turn) => ({
        ...turn,
        key: task.id,
        task,
        answer: "",
        waiting: waitingOf(task),
      }));
      this.follow(task.id);
      return true;
    } catch (error) {
      if (asked) this.problem = notSent(error);
      else this.change(key, (turn) => ({ ...turn, problem: notSent(error) }));
      this.tell();
      return false;
    }
  }

  /** Send a question again: one that could not be sent takes its own place, one that failed gets a new one. */
  async retry(turn: Turn): Promise<void> {
    if (turn.task) {
      await this.send(turn.question);
      return;
    }
    this.turns = this.turns.filter((one) => one !== turn);
    await this.send(turn.question, null, turn.key);
  }

  async stop(task: TaskView): Promise<void> {
    try {
      const after = await call<TaskView>("POST", paths.taskCancel(task.id));
      this.change(task.id, (turn) => ({ ...turn, task: after }));
    } catch (error) {
      this.problem = inWords(error);
      this.tell();
    }
  }

  private follow(taskId: string): void {
    if (this.streams.has(taskId)) return;
    const seen = this.seen.get(taskId) ?? { seq: 0, text: "" };
    this.seen.set(taskId, seen);
    const open = () => {
      const stream = socket(paths.taskUpdates(taskId), { after: seen.seq });
      this.streams.set(taskId, stream);
      stream.onmessage = (message) => {
        const update = JSON.parse(String(message.data)) as Update;
        if (update.kind === undefined) return; // an error: the close says so
        seen.seq = Math.max(seen.seq, update.seq);
        seen.text = textAfter(seen.text, update);
        this.change(taskId, (turn) => after(turn, update, seen.text));
      };
      stream.onclose = (closed) => {
        if (this.streams.get(taskId) !== stream) return; // at rest
        this.streams.delete(taskId);
        if (closed.code === 1000) void this.refresh(taskId);
        else setTimeout(() => this.streams.has(taskId) || open(), RETRY);
      };
    };
    open();
  }

  private async refresh(taskId: string): Promise<void> {
    try {
      const task = await call<TaskView>("GET", paths.task(taskId));
      this.change(taskId, (turn) => ({
        ...this.turnOf(task),
        answer: over(task) ? task.answer || turn.answer : turn.answer,
      }));
      if (!over(task)) this.follow(taskId);
    } catch (error) {
      this.problem = inWords(error);
      this.tell();
    }
  }

  private turnOf(task: TaskView): Turn {
    return {
      key: task.id,
      task,
      question: task.text,
      answer: task.answer || (over(task) ? "" : (this.seen.get(task.id)?.text ?? "")),
      progress: "",
      waiting: waitingOf(task),
      problem: "",
    };
  }

  private change(key: string, how: (turn: Turn) => Turn): void {
    this.turns = this.turns.map((turn) => (turn.key === key ? how(turn) : turn));
    this.tell();
  }

  private newContext(): string {
    const context = uuid();
    localStorage.setItem(CONTEXT_KEY + this.workspaceId, context);
    return context;
  }

  private tell(): void {
    for (const listener of [...this.listeners]) listener();
  }
}

function notSent(error: unknown): string {
  if (error instanceof ApiError && error.unknown) return `${inWords(error)}. Sending it again does no harm.`;
  return `Not sent: ${inWords(error)}`;
}

/** The text that streamed: another attempt, or a reply, begins a new one. */
export function textAfter(text: string, update: Update): string {
  if (update.kind === "text") return text + update.text;
  if (update.kind === "reply" || (update.kind === "status" && update.state === "submitted")) return "";
  return text;
}

/** The turn as it is after this update, with the text that streamed up to it. */
export function after(turn: Turn, update: Update, text: string): Turn {
  const task = turn.task && { ...turn.task, state: update.state };
  switch (update.kind) {
    case "text":
      return { ...turn, task, answer: text, waiting: null, progress: "" };
    case "progress":
      return { ...turn, task, progress: update.text, waiting: null };
    case "unavailable":
      return { ...turn, waiting: update.availability };
    case "available":
      return { ...turn, waiting: null };
    case "status":
      return { ...turn, task, answer: update.text || text, progress: "" };
    default:
      return { ...turn, task };
  }
}

/** Why it waits; null when it runs or nothing is to come. */
function waitingOf(task: TaskView): Availability | null {
  return !over(task) && task.availability?.able === false ? task.availability : null;
}

/** Nothing more comes of it by itself. */
export function over(task: TaskView): boolean {
  return !["submitted", "working"].includes(task.state);
}

const conversations = new Map<string, Conversation>();

/** The same one, however often its panel is opened. */
export function conversationWith(workspaceId: string): Conversation {
  let found = conversations.get(workspaceId);
  if (!found) {
    found = new Conversation(workspaceId);
    conversations.set(workspaceId, found);
  }
  return found;
}
