/** The events of one workspace: the newest page at once, then back through the log, and what comes meanwhile. */

import { useEffect, useState } from "react";
import { eventsBefore, inWords } from "../api";
import type { Event } from "../generated";
import { fleet } from "../store";

const PAGE = 1000;
/** pages that are read back at most */
const PAGES = 20;

export interface History {
  /** oldest first */
  events: readonly Event[];
  /** the log has older ones that were not read */
  older: boolean;
  problem: string;
}

const NOTHING: History = { events: [], older: false, problem: "" };

export function useHistory(workspaceId: string): History {
  const [history, setHistory] = useState(NOTHING);
  useEffect(() => {
    const reader = new Reader(workspaceId, setHistory);
    return () => reader.end();
  }, [workspaceId]);
  return history;
}

class Reader {
  private readonly workspaceId: string;
  private readonly tell: (history: History) => void;
  private readonly unsubscribe: () => void;
  private history = NOTHING;
  private gone = new AbortController();
  /** the last of the fleet's events that was looked at */
  private seen = fleet.seq;
  /** what came before the first page did; null since */
  private early: Event[] | null = [];

  constructor(workspaceId: string, tell: (history: History) => void) {
    this.workspaceId = workspaceId;
    this.tell = tell;
    this.unsubscribe = fleet.onFeed(() => this.follow());
    void this.readBack();
  }

  end(): void {
    this.unsubscribe();
    this.gone.abort();
  }

  private async readBack(): Promise<void> {
    const { signal } = this.gone;
    let before: number | null = null;
    try {
      for (let page = 0; page < PAGES; page += 1) {
        const query = { workspace_id: this.workspaceId, limit: PAGE };
        const { events } = await eventsBefore(before, query, signal);
        if (signal.aborted) return;
        const early = this.early ?? [];
        this.early = null;
        const older = events.length === PAGE;
        this.set({ events: extended([...events, ...this.history.events], early), older, problem: "" });
        if (!older) return;
        before = events[0]?.seq ?? 0;
      }
    } catch (error) {
      if (!signal.aborted) this.set({ ...this.history, problem: inWords(error) });
    }
  }

  /** The feed keeps the last events of the whole fleet only: whoever looks at each change misses none. */
  private follow(): void {
    const { feed } = fleet;
    const missed = (feed[0]?.seq ?? 0) > this.seen + 1;
    const fresh = feed.filter((event) => event.seq > this.seen && event.workspace_id === this.workspaceId);
    this.seen = fleet.seq;
    if (missed) {
      this.gone.abort();
      this.gone = new AbortController();
      this.history = NOTHING;
      this.early = [];
      void this.readBack();
    } else if (this.early) {
      this.early.push(...fresh);
    } else if (fresh.length > 0) {
      this.set({ ...this.history, events: extended(this.history.events, fresh) });
    }
  }

  private set(history: History): void {
    this.history = history;
    this.tell(history);
  }
}

/** With those that are newer than what is there. */
function extended(events: readonly Event[], fresh: readonly Event[]): readonly Event[] {
  const last = events.at(-1)?.seq ?? 0;
  const newer = fresh.filter((event) => event.seq > last);
  return newer.length > 0 ? [...events, ...newer] : events;
}
