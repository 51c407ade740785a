/** Trouble of the fleet and what agents tell, as one list: what each entry says and where it leads. Pure. */

import type { NotificationView } from "../generated";
import type { Spot } from "../place";
import { isRead, type Read } from "../read";
import type { Notice } from "../store";

export interface Entry {
  key: string;
  at: string;
  /** whom it is about, or who speaks */
  name: string;
  word: string;
  text: string;
  unread: boolean;
  place: Partial<Spot>;
  /** an address outside, named by an agent */
  link: string;
  /** of trouble its event; of what an agent tells its notification */
  seq: number | null;
  id: string | null;
}

const WORDS: Record<string, string> = {
  WORKSPACE_DEGRADED: "degraded",
  WORKSPACE_OFFLINE: "offline",
  WORKSPACE_FAILED: "failed",
  INCIDENT_CLOSED: "recovered",
  TASK_FAILED: "task failed",
  TASK_REJECTED: "task rejected",
  TASK_INPUT_REQUIRED: "asks for input",
};

const OF_A_NOUN =
  /^\/(tasks|delegations|incidents|workspaces)\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** Newest first. */
export function entries(notices: readonly Notice[], told: readonly NotificationView[], read: Read): Entry[] {
  const all = [...notices.map((one) => ofTrouble(one, read)), ...told.map(ofAgent)];
  const times = new Map(all.map((one) => [one, Date.parse(one.at)]));
  return all.sort((one, other) => (times.get(other) ?? 0) - (times.get(one) ?? 0));
}

function ofTrouble(notice: Notice, read: Read): Entry {
  return {
    key: `event ${notice.seq}`,
    at: notice.at,
    name: notice.name,
    word: wordOf(notice),
    text: notice.text,
    unread: !isRead(read, notice.seq),
    place: placeOf(notice),
    link: "",
    seq: notice.seq,
    id: null,
  };
}

function wordOf(notice: Notice): string {
  if (notice.type === "INCIDENT_CLOSED" && /^removed/.test(notice.text)) return "incident closed";
  return WORDS[notice.type] ?? notice.type;
}

function ofAgent(told: NotificationView): Entry {
  return {
    key: told.id,
    at: told.at,
    name: told.workspace_name,
    word: told.delegation_id ? "delegation ended" : told.type === "info" ? "says" : told.type,
    text: told.message,
    unread: !told.read_at,
    place: told.delegation_id
      ? { selected: told.workspace_id, tab: "tasks", detail: told.delegation_id }
      : (placeIn(told.link, told.workspace_id) ?? { selected: told.workspace_id, tab: "health" }),
    link: outside(told.link),
    seq: null,
    id: told.id,
  };
}

/** Where a notice of trouble leads: its incident, its task, or the one it is about. */
function placeOf(notice: Notice): Partial<Spot> {
  if (!notice.workspaceId) return {};
  const selected = notice.workspaceId;
  if (notice.taskId) return { selected, tab: "tasks", detail: notice.taskId };
  if (notice.incidentId) return { selected, tab: "incidents", detail: notice.incidentId };
  return { selected, tab: "health" };
}

/** What a path of this server stands for on the page; null: nothing. */
function placeIn(link: string, workspaceId: string): Partial<Spot> | null {
  const [, noun, id] = OF_A_NOUN.exec(link) ?? [];
  if (!noun || !id) return null;
  if (noun === "workspaces") return { selected: id, tab: "health" };
  return { selected: workspaceId, tab: noun === "incidents" ? "incidents" : "tasks", detail: id };
}

/** The address, if it is one that a browser may open for an agent: never a script, a file or this page. */
export function outside(link: string): string {
  if (!/^https?:\/\//i.test(link)) return "";
  try {
    const url = new URL(link);
    return url.username || url.password ? "" : url.href;
  } catch {
    return "";
  }
}
