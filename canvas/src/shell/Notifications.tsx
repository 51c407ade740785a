/** What a person should know, newest first, with an unread count; each entry leads to its workspace, incident or task. */

import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { box, useTold } from "../notifications";
import { go } from "../place";
import { isRead, markAllRead, markRead, useRead } from "../read";
import { useAbilities } from "../role";
import { fleet, useConnection, useNotices } from "../store";
import { moment } from "../time";
import { type Entry, entries } from "./notices";
import { useTitle } from "./title";

export function Notifications() {
  const [open, setOpen] = useState(false);
  const notices = useNotices();
  const told = useTold();
  const read = useRead();
  const whole = useRef<HTMLDivElement>(null);
  useLive();
  const unread = told.unread + notices.filter((notice) => !isRead(read, notice.seq)).length;

  useTitle(unread);

  useEffect(() => {
    if (!open) return;
    const onPointer = (event: PointerEvent) => {
      if (event.target instanceof Node && !whole.current?.contains(event.target)) setOpen(false);
    };
    addEventListener("pointerdown", onPointer);
    return () => removeEventListener("pointerdown", onPointer);
  }, [open]);

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Esc closes what is open within
    <div
      className="notifications"
      ref={whole}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        setOpen(false);
        whole.current?.querySelector("button")?.focus();
      }}
    >
      <button
        type="button"
        id="notices-button"
        aria-expanded={open}
        {...(open && { "aria-controls": "notices" })}
        onClick={() => setOpen(!open)}
      >
        Notices
        {unread > 0 && (
          <span className="badge" aria-hidden="true">
            {unread > 999 ? "999+" : unread}
          </span>
        )}
        <span className="visually-hidden"> {unread} unread</span>
      </button>
      {open && <Entries unread={unread} close={() => setOpen(false)} />}
    </div>
  );
}

/** Asks for what agents tell when the page is live, and again whenever an event says that it changed. */
function useLive(): void {
  const { details } = useAbilities();
  const connection = useConnection();
  const tick = useSyncExternalStore(fleet.onFeed, () => fleet.notificationTick);
  useEffect(() => {
    void tick;
    if (details && connection === "live") void box.refresh();
  }, [details, connection, tick]);
  useEffect(() => () => box.clear(), []);
}

function Entries({ unread, close }: { unread: number; close: () => void }) {
  const notices = useNotices();
  const told = useTold();
  const read = useRead();
  const all = useMemo(() => entries(notices, told.items, read), [notices, told, read]);
  const readAll = () => {
    markAllRead(notices[0]?.seq ?? 0);
    void box.readAll();
  };
  return (
    <section id="notices" className="notices" aria-label="Notices">
      <header>
        <h2>Notices</h2>
        <button type="button" disabled={unread === 0} onClick={readAll}>
          Mark all read
        </button>
      </header>
      {told.problem && (
        <p role="alert" className="problem">
          {told.problem}
        </p>
      )}
      {all.length === 0 && <p className="dim">Nothing yet.</p>}
      <ol>
        {all.map((entry) => (
          <EntryView key={entry.key} entry={entry} close={close} />
        ))}
      </ol>
      {told.more && (
        <button type="button" onClick={() => void box.older()}>
          Show older
        </button>
      )}
    </section>
  );
}

function EntryView({ entry, close }: { entry: Entry; close: () => void }) {
  const mark = () => {
    if (entry.seq !== null) markRead(entry.seq);
    if (entry.id !== null) void box.read(entry.id);
  };
  return (
    <li className={entry.unread ? "is-unread" : ""}>
      <button
        type="button"
        className="notice"
        onClick={() => {
          mark();
          go(entry.place);
          close();
        }}
      >
        {entry.unread && <span className="visually-hidden">Unread: </span>}
        <strong dir="auto">{entry.name}</strong> <span dir="auto">{entry.word}</span>
        <time dateTime={entry.at}>{moment(entry.at)}</time>
        {entry.text && (
          <span className="notice-text" dir="auto">
            {entry.text}
          </span>
        )}
      </button>
      {entry.link && (
        <a href={entry.link} target="_blank" rel="noopener noreferrer nofollow" onClick={mark}>
          {entry.link}
        </a>
      )}
      {entry.unread && (
        <button type="button" className="quiet" aria-label={`Mark read: ${entry.name}`} onClick={mark}>
          Mark read
        </button>
      )}
    </li>
  );
}
