/** Up to which event the notices of this browser were read. Shared by its tabs. */

const KEY = "truebeat.read";

export function readUpTo(): number {
  return Number(localStorage.getItem(KEY) ?? 0) || 0;
}

export function markRead(seq: number): void {
  if (seq > readUpTo()) localStorage.setItem(KEY, String(seq));
}

/** What was before the first visit is no news. A mark beyond the log is of another server at the same address. */
export function beginReading(seq: number): void {
  if (localStorage.getItem(KEY) === null || readUpTo() > seq) localStorage.setItem(KEY, String(seq));
}
