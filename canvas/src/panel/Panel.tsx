/** Everything about one workspace, in tabs. */

import { type KeyboardEvent, useEffect, useRef } from "react";
import { closePanel } from "../canvas/roving";
import type { Live } from "../live";
import { go, TABS, type Tab, useSpot } from "../place";
import { useAbilities } from "../role";
import { Boundary } from "../shell/Boundary";
import { Pill } from "../shell/Pill";
import { isTrouble, reason } from "../status";
import { useConnection, useWorkspace } from "../store";
import { Actions } from "./Actions";
import { Chat } from "./Chat";
import { Health } from "./Health";
import { Incidents } from "./Incidents";
import { Tasks } from "./Tasks";
import { Timeline } from "./Timeline";

const WORDS: Record<Tab, string> = {
  health: "Health",
  chat: "Chat",
  timeline: "Timeline",
  incidents: "Incidents",
  tasks: "Tasks",
};
/** between two looks at the evidence of the one that is open, milliseconds */
const LOOK = 1000;

export function Panel({ id, live }: { id: string; live: Live }) {
  const workspace = useWorkspace(id);
  const connection = useConnection();
  const { tab } = useSpot();
  const abilities = useAbilities();
  const heading = useRef<HTMLHeadingElement>(null);

  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
  }, []);

  useEffect(() => {
    if (connection !== "live") return;
    void live.look(id);
    const timer = setInterval(() => {
      if (!document.hidden) live.poll(id);
    }, LOOK);
    return () => clearInterval(timer);
  }, [id, live, connection]);

  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length] ?? "health";
    go({ tab: next, detail: null });
    document.getElementById(`tab-${next}`)?.focus();
  };

  return (
    <section className="panel" aria-labelledby="panel-title">
      <header>
        <h2 id="panel-title" tabIndex={-1} ref={heading}>
          <bdi>{workspace?.name ?? "Workspace"}</bdi>
        </h2>
        <button type="button" className="close" aria-label="Close" onClick={closePanel}>
          ×
        </button>
        {workspace && (
          <>
            <Pill status={workspace.status} />
            {workspace.role && <bdi className="panel-role">{workspace.role}</bdi>}
            {isTrouble(workspace.status) && (
              <p className={`panel-why is-${workspace.status}`}>
                <bdi>{reason(workspace)}</bdi>
              </p>
            )}
            {abilities.operate && <Actions workspace={workspace} />}
          </>
        )}
      </header>
      {!workspace && <p className="panel-body">There is no such workspace any more.</p>}
      {workspace && (
        <>
          <div className="tabs" role="tablist" aria-label="About this workspace" onKeyDown={onKeyDown}>
            {TABS.map((one) => (
              <button
                key={one}
                type="button"
                role="tab"
                id={`tab-${one}`}
                aria-selected={tab === one}
                aria-controls="tab-body"
                tabIndex={tab === one ? 0 : -1}
                onClick={() => go({ tab: one, detail: null })}
              >
                {WORDS[one]}
              </button>
            ))}
          </div>
          <div
            key={tab}
            id="tab-body"
            className="panel-body"
            role="tabpanel"
            aria-labelledby={`tab-${tab}`}
            // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it
            tabIndex={0}
          >
            <Boundary what={`The tab ${WORDS[tab]}`}>
              {tab === "health" && <Health workspace={workspace} />}
              {tab === "chat" && <Chat workspace={workspace} />}
              {tab === "timeline" && <Timeline workspace={workspace} />}
              {tab === "incidents" && <Incidents workspace={workspace} />}
              {tab === "tasks" && <Tasks workspace={workspace} />}
            </Boundary>
          </div>
        </>
      )}
    </section>
  );
}
