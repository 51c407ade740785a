/**
 * Which notices of trouble this browser's person has read: everything up to an event, and some after it. Shared by its
 * tabs. (What agents tell is read on the server, for everybody.)
 */

import { useSyncExternalStore } from "react";

const KEY = "truebeat.read";
const SOME = "truebeat.read.some";
/** single ones that are remembered; older ones of too many count as unread again */
const MOST = 500;

export interface Read {
  upTo: number;
  some: ReadonlySet<number>;
}

/** What a browser kept may be anything: it is taken for nothing then. */
export function parsed(upTo: string | null, some: string | null): Read {
  let found: unknown = [];
  try {
    found = JSON.parse(some ?? "[]");
  } catch {
    // nothing
  }
  const seqs = Array.isArray(found) ? found.filter((seq) => Number.isSafeInteger(seq)) : [];
  return { upTo: Number(upTo ?? 0) || 0, some: new Set(seqs as number[]) };
}

export function isRead(read: Read, seq: number): boolean {
  return seq <= read.upTo || read.some.has(seq);
}

let current: Read | null = null;
const listeners = new Set<() => void>();

function load(): Read {
  current ??= parsed(localStorage.getItem(KEY), localStorage.getItem(SOME));
  return current;
}

function changed(): void {
  current = null;
  for (const listener of [...listeners]) listener();
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) addEventListener("storage", changed); // another tab read some
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) removeEventListener("storage", changed);
  };
}

export function useRead(): Read {
  return useSyncExternalStore(subscribe, load);
}

export function markRead(seq: number): void {
  const read = load();
  if (isRead(read, seq)) return;
  const some = [...read.some, seq].filter((one) => one > read.upTo).slice(-MOST);
  localStorage.setItem(SOME, JSON.stringify(some));
  changed();
}

export function markAllRead(upTo: number): void {
  if (upTo <= load().upTo) return;
  localStorage.setItem(KEY, String(upTo));
  localStorage.removeItem(SOME);
  changed();
}

/** What was before the first visit is no news. A mark beyond the log is of another server at the same address. */
export function beginReading(seq: number): void {
  if (localStorage.getItem(KEY) !== null && load().upTo <= seq) return;
  localStorage.setItem(KEY, String(seq));
  localStorage.removeItem(SOME);
  changed();
}
