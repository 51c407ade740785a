/** What is selected and filtered, in the URL: a reload, a bookmark and a colleague see the same. */

import { useSyncExternalStore } from "react";

export type Tab = "health" | "chat" | "timeline" | "incidents" | "tasks";
export const TABS: readonly Tab[] = ["health", "chat", "timeline", "incidents", "tasks"];

/** what the tab of tasks lists: all that it is asked, what of it is open, what it asked others */
export type TaskList = "all" | "open" | "asked";
const TASK_LISTS: readonly TaskList[] = ["all", "open", "asked"];

export interface Spot {
  /** the workspace whose panel is open */
  selected: string | null;
  tab: Tab;
  /** words that names, roles and reasons must contain, and `status:degraded` */
  filter: string;
  view: "graph" | "list";
  tasks: TaskList;
  /** an incident or a task that is open in the panel */
  detail: string | null;
}

/** cards side by side can't be read in a narrow window; a list can */
const FIRST_VIEW = innerWidth < 720 ? "list" : "graph";

function read(): Spot {
  const query = new URLSearchParams(location.search);
  const tab = query.get("tab") as Tab | null;
  const view = query.get("view");
  const tasks = query.get("tasks") as TaskList | null;
  return {
    selected: query.get("workspace"),
    tab: tab && TABS.includes(tab) ? tab : "health",
    filter: query.get("q") ?? "",
    view: view === "list" || view === "graph" ? view : FIRST_VIEW,
    tasks: tasks && TASK_LISTS.includes(tasks) ? tasks : "all",
    detail: query.get("detail"),
  };
}

let current = read();
const listeners = new Set<() => void>();

/** Change some of it. A new selection is a step that Back undoes; the rest is not. */
export function go(change: Partial<Spot>): void {
  const next = { ...current, ...change };
  if (change.selected !== undefined && change.selected !== current.selected && change.detail === undefined)
    next.detail = null;
  const query = new URLSearchParams();
  if (next.selected) query.set("workspace", next.selected);
  if (next.selected && next.tab !== "health") query.set("tab", next.tab);
  if (next.filter) query.set("q", next.filter);
  if (next.view !== FIRST_VIEW) query.set("view", next.view);
  if (next.selected && next.tasks !== "all") query.set("tasks", next.tasks);
  if (next.detail) query.set("detail", next.detail);
  const text = query.toString();
  const url = text ? `?${text}` : location.pathname;
  if (next.selected !== current.selected) history.pushState(null, "", url);
  else history.replaceState(null, "", url);
  current = next;
  for (const listener of [...listeners]) listener();
}

addEventListener("popstate", () => {
  current = read();
  for (const listener of [...listeners]) listener();
});

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useSpot(): Spot {
  return useSyncExternalStore(subscribe, () => current);
}

/** Whether this one's panel is open; re-renders only those two whose answer changes. */
export function useIsSelected(id: string): boolean {
  return useSyncExternalStore(subscribe, () => current.selected === id);
}

export function useFilter(): string {
  return useSyncExternalStore(subscribe, () => current.filter);
}

export function spot(): Spot {
  return current;
}
