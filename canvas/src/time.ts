/** Durations and moments in words. Seconds, unless said otherwise. */

import { serverNow } from "./clock";

/** How long something took or may take: "120 ms", "3.2 s", "5 min". */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds <= 0) return "0 s";
  if (seconds < 0.9995) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 89.5) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${tenths(seconds / 3600)} h`;
  return `${seconds < 864_000 ? tenths(seconds / 86_400) : Math.round(seconds / 86_400)} d`;
}

function tenths(value: number): string {
  return value.toFixed(1).replace(/\.0$/, "");
}

/** How long ago something was: a span below a second is no age that a person reads. */
export function ago(seconds: number): string {
  return seconds < 1 ? "just now" : `${duration(seconds)} ago`;
}

/** How long it has been so, after a word for what is so: "open for 5 min", "open since just now". */
export function lasting(seconds: number): string {
  return seconds < 1 ? "since just now" : `for ${duration(seconds)}`;
}

/** From `at` until `now` (milliseconds); clocks may disagree, so never less than nothing. */
export function since(at: string, now: number): number {
  return Math.max(0, (now - Date.parse(at)) / 1000);
}

// made once: making one costs more than all else that a row of a list does
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** The time of day, with the date when it was another day. */
export function moment(at: string | number, now: number = serverNow()): string {
  const then = new Date(at);
  if (Number.isNaN(then.getTime())) return "";
  const today = new Date(now);
  if (then.toDateString() === today.toDateString()) return TIME.format(then);
  return `${(then.getFullYear() === today.getFullYear() ? DAY : DATE).format(then)}, ${TIME.format(then)}`;
}
