/** The page: a login until there is a session, then the shell around graph, list and panel. */

import { useCallback, useEffect, useMemo, useState } from "react";
import { ApiError, call, inWords, onSignedOut } from "./api";
import { Canvas } from "./canvas/Canvas";
import { closePanel, focusCard } from "./canvas/roving";
import { type Login as LoginBody, paths, type SessionView } from "./generated";
import { Live } from "./live";
import { Panel } from "./panel/Panel";
import { go, spot, useSpot } from "./place";
import { AbilitiesContext, abilitiesOf } from "./role";
import { Banner } from "./shell/Banner";
import { Boundary } from "./shell/Boundary";
import { Empty } from "./shell/Empty";
import { Help } from "./shell/Help";
import { List } from "./shell/List";
import { Login } from "./shell/Login";
import { TopBar } from "./shell/TopBar";
import { fleet, useConnection, useLoaded, useMembers, useUnsure } from "./store";

const live = new Live(fleet);

const ENROLS = "this is an enrolment token: it adds workspaces and sees nothing; log in with another one";
const REFUSED = "the server refuses to show this session the fleet; log in with another token";

type Phase = { kind: "checking" } | { kind: "out"; problem: string } | { kind: "in"; session: SessionView };

/** The code of a login link. It leaves the address bar at once: it is good once, and no bookmark should hold it. */
function takeCode(): string | undefined {
  const code = /^#login=(.+)$/.exec(location.hash)?.[1];
  if (code) history.replaceState(null, "", location.pathname + location.search);
  return code;
}

export function App() {
  const [phase, setPhase] = useState<Phase>({ kind: "checking" });
  const connection = useConnection();

  const enter = useCallback(async (login: Partial<LoginBody> | null) => {
    try {
      const session = await (login
        ? call<SessionView>("POST", paths.session, { body: login })
        : call<SessionView>("GET", paths.session));
      const enrols = session.role === "enrolment";
      // it may not even end its session, which is good for nothing else
      if (enrols) await call("DELETE", paths.session).catch(() => undefined);
      setPhase(enrols ? { kind: "out", problem: ENROLS } : { kind: "in", session });
    } catch (error) {
      const quiet = !login && error instanceof ApiError && error.status === 401;
      setPhase({ kind: "out", problem: quiet ? "" : inWords(error) });
    }
  }, []);

  useEffect(() => {
    const code = takeCode();
    void (code ? enter({ code }) : enter(null));
    // a link pasted into the tab that has this page loads nothing
    const onHash = () => {
      const pasted = takeCode();
      if (pasted) void enter({ code: pasted });
    };
    addEventListener("hashchange", onHash);
    onSignedOut(() =>
      setPhase((now) => (now.kind === "in" ? { kind: "out", problem: "the session has ended" } : now)),
    );
    return () => removeEventListener("hashchange", onHash);
  }, [enter]);

  useEffect(() => {
    if (phase.kind !== "in") return;
    void live.start();
    return () => live.stop();
  }, [phase.kind]);

  useEffect(() => {
    if (connection === "signed-out") setPhase({ kind: "out", problem: "the session has ended" });
    if (connection === "refused") setPhase({ kind: "out", problem: REFUSED });
  }, [connection]);

  if (phase.kind === "checking") return <p className="splash">truebeat</p>;
  if (phase.kind === "out") return <Login problem={phase.problem} enter={enter} />;
  const leave = async () => {
    const failure = await call("DELETE", paths.session).catch((error: unknown) => error);
    const ended = !(failure instanceof ApiError) || failure.status === 401;
    setPhase({ kind: "out", problem: ended ? "" : `Ending the session: ${failure.message}` });
  };
  return <Shell session={phase.session} leave={leave} />;
}

/** To the panel around it, whose keys then work; else to the fleet. */
function leaveBox(box: HTMLElement): void {
  const next = box.closest(".panel")?.querySelector<HTMLElement>("#panel-title");
  (next ?? document.getElementById("fleet"))?.focus({ preventScroll: true });
}

function Shell({ session, leave }: { session: SessionView; leave: () => void }) {
  const { view, selected } = useSpot();
  const members = useMembers();
  const loaded = useLoaded();
  const connection = useConnection();
  const unsure = useUnsure();
  const stale = unsure !== "" || connection !== "live";
  const [help, setHelp] = useState(false);
  const abilities = useMemo(() => abilitiesOf(session.role), [session.role]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing =
        event.target instanceof HTMLElement &&
        event.target.closest("input, textarea, select, [contenteditable]");
      if (event.key === "Escape") {
        // what is typed is left first, and stays
        if (typing instanceof HTMLElement) leaveBox(typing);
        else if (help) setHelp(false);
        else closePanel();
        return;
      }
      if (typing || event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "/") {
        event.preventDefault();
        document.getElementById("search")?.focus();
      } else if (event.key === "?") {
        setHelp((open) => !open);
      } else if (event.key === "n") {
        const button = document.getElementById("notices-button");
        button?.focus();
        button?.click();
      } else if (event.key === "l") {
        const here = /^(?:card|row)-(.+)$/.exec(document.activeElement?.id ?? "")?.[1];
        go({ view: spot().view === "list" ? "graph" : "list" });
        // where one was, in the other view
        if (here) requestAnimationFrame(() => focusCard(here));
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [help]);

  return (
    <AbilitiesContext value={abilities}>
      <div className={`shell${selected ? " has-panel" : ""}${stale ? " is-stale" : ""}`}>
        <a className="skip" href="#fleet">
          Skip to the fleet
        </a>
        <TopBar session={session} leave={leave} help={() => setHelp(true)} />
        <Banner />
        <main>
          <section id="fleet" className="fleet" aria-label="Fleet" tabIndex={-1}>
            <Boundary key={view} what="The fleet">
              {!loaded ? (
                <p className="splash">Loading the fleet</p>
              ) : members.length === 0 ? (
                <Empty />
              ) : view === "list" ? (
                <List />
              ) : (
                <Canvas />
              )}
            </Boundary>
          </section>
          {selected && (
            <Boundary key={selected} what="The panel">
              <Panel id={selected} live={live} />
            </Boundary>
          )}
        </main>
        {help && <Help close={() => setHelp(false)} />}
      </div>
    </AbilitiesContext>
  );
}
