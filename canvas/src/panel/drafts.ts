/** What is typed and not sent yet, by what it is for: another tab, a closed panel or a failure takes nothing away. */

import { useSyncExternalStore } from "react";

const drafts = new Map<string, string>();
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function draftOf(of: string): string {
  return drafts.get(of) ?? "";
}

export function setDraft(of: string, text: string): void {
  if (text) drafts.set(of, text);
  else drafts.delete(of);
  for (const listener of [...listeners]) listener();
}

export function useDraft(of: string): string {
  return useSyncExternalStore(subscribe, () => draftOf(of));
}

/** Whether it arrived, or is kept elsewhere until it does. */
export type Send = (text: string) => Promise<boolean>;

/** The draft goes when it is known that it arrived; what was typed meanwhile stays. */
export async function sendDraft(of: string, send: Send): Promise<void> {
  const text = draftOf(of);
  if (await send(text)) {
    if (draftOf(of) === text) setDraft(of, "");
  }
}
