/** Which card or edge the pointer or the focus is on: its edges say in words what they are about. */

import { useSyncExternalStore } from "react";

let pointed: string | null = null;
let focused: string | null = null;
const listeners = new Set<() => void>();

function tell(): void {
  for (const listener of [...listeners]) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** A card's workspace, an edge's id, or nothing. */
export function point(id: string | null): void {
  if (id === pointed) return;
  pointed = id;
  tell();
}

export function focus(id: string | null): void {
  if (id === focused) return;
  focused = id;
  tell();
}

/** Whether any of these is pointed at or has the focus. */
export function useLit(...ids: readonly string[]): boolean {
  return useSyncExternalStore(subscribe, () => ids.some((id) => id === pointed || id === focused));
}
