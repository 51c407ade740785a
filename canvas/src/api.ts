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
}

const UNREACHABLE: Problem = {
  type: "urn:truebeat:problem:unavailable",
  title: "No connection",
  status: 0,
  detail: "the server does not answer",
  code: "unavailable",
  facts: {},
};

type Method = "GET" | "POST" | "DELETE";
type Query = Record<string, string | number | boolean | undefined>;

interface Options {
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
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
  if (options.signal) request.signal = options.signal;
  if (options.body !== undefined) {
    request.body = JSON.stringify(options.body);
    request.headers = { ...options.headers, "content-type": "application/json" };
  }
  let answer: Response;
  try {
    answer = await fetch(url, request);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(UNREACHABLE);
  }
  if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T;
  const problem = await read(answer);
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

/** Events after `since`. A log that was pruned begins where it begins: 410 names the first that is kept. */
export async function eventsSince(since: number, query: Query, signal?: AbortSignal): Promise<EventPage> {
  const ask = (from: number) => {
    const options: Options = { query: { ...query, since: from } };
    if (signal) options.signal = signal;
    return call<EventPage>("GET", paths.events, options);
  };
  try {
    return await ask(since);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 410) throw error;
    const first = Number(error.problem.facts.first ?? Number.NaN);
    if (Number.isNaN(first)) throw error;
    return ask(first - 1);
  }
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
