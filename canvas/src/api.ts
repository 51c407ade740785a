/** The one way to call the server. The session is an HttpOnly cookie, so nothing here holds a secret. */

import { type EventPage, type Problem, paths } from "./generated";

/** What the server refused, in its own words. */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }

  get status(): number {
    return this.problem.status;
  }

  /** It may have been done. */
  get unknown(): boolean {
    return this.problem === UNKNOWN;
  }
}

/** an answer that has not come by then does not come, milliseconds */
const WITHIN = 15_000;

const UNREACHABLE: Problem = {
  type: "urn:truebeat:problem:unavailable",
  title: "No connection",
  status: 0,
  detail: "the server does not answer",
  code: "unavailable",
  facts: {},
};

/** of what changes something: the server may have got it, and its answer was lost */
const UNKNOWN: Problem = {
  ...UNREACHABLE,
  title: "No answer",
  detail: "the server does not answer: it is not known whether it was done",
};

type Method = "GET" | "POST" | "DELETE";
type Query = Record<string, string | number | boolean | undefined>;

interface Options {
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** milliseconds for the whole answer */
  within?: number;
}

let signedOut: () => void = () => undefined;

/** Called when the server no longer knows the session. */
export function onSignedOut(listener: () => void): void {
  signedOut = listener;
}

export async function call<T>(method: Method, path: string, options: Options = {}): Promise<T> {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const request: RequestInit = { method, headers: { ...options.headers }, credentials: "same-origin" };
  if (options.body !== undefined) {
    request.body = JSON.stringify(options.body);
    request.headers = { ...options.headers, "content-type": "application/json" };
  }
  const gone = new AbortController();
  const leave = () => gone.abort();
  const timer = setTimeout(leave, options.within ?? WITHIN);
  options.signal?.addEventListener("abort", leave);
  if (options.signal?.aborted) leave();
  let problem: Problem;
  try {
    const answer = await fetch(url, { ...request, signal: gone.signal });
    if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T;
    problem = await read(answer);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    problem = method === "GET" ? UNREACHABLE : UNKNOWN;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", leave);
  }
  if (problem.status === 401) signedOut();
  throw new ApiError(problem);
}

async function read(answer: Response): Promise<Problem> {
  try {
    return (await answer.json()) as Problem;
  } catch {
    return {
      ...UNREACHABLE,
      status: answer.status,
      title: answer.statusText,
      detail: `the server answered ${answer.status}`,
    };
  }
}

/** The last events before that `seq`, oldest first, as far back as the log goes; without one, the last there are. */
export function eventsBefore(seq: number | null, query: Query, signal?: AbortSignal): Promise<EventPage> {
  const options: Options = { query: { ...query, before: seq ?? Number.MAX_SAFE_INTEGER } };
  if (signal) options.signal = signal;
  return call<EventPage>("GET", paths.events, options);
}

/** A WebSocket of this server; the browser sends the cookie along. */
export function socket(path: string, query: Query = {}): WebSocket {
  const url = new URL(path, location.origin);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return new WebSocket(url);
}

/** In words, for people, whatever was thrown. */
export function inWords(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
