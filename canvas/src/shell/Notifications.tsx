/** What a person should know, newest first, with an unread count; each links to its workspace. */

import { useEffect, useRef, useState } from "react";
import { go, type Spot } from "../place";
import { markRead, readUpTo } from "../read";
import { type Notice, useNotices } from "../store";
import { moment } from "../time";

const WORDS: Record<string, string> = {
  WORKSPACE_DEGRADED: "degraded",
  WORKSPACE_OFFLINE: "offline",
  WORKSPACE_FAILED: "failed",
  INCIDENT_CLOSED: "recovered",
  TASK_FAILED: "task failed",
  TASK_REJECTED: "task rejected",
  TASK_INPUT_REQUIRED: "asks for input",
  NOTIFICATION: "says",
};

/** Where a notice leads: its incident, its task, or the one it is about. */
function placeOf(notice: Notice): Partial<Spot> {
  if (!notice.workspaceId) return {};
  const selected = notice.workspaceId;
  if (notice.taskId) return { selected, tab: "tasks", detail: notice.taskId };
  if (notice.incidentId) return { selected, tab: "incidents", detail: notice.incidentId };
  return { selected, tab: "health" };
}

export function Notifications() {
  const notices = useNotices();
  const [open, setOpen] = useState(false);
  const [, readElsewhere] = useState(0);
  const read = readUpTo();
  /** what was unread when the list was opened stays marked while it is open */
  const [marked, setMarked] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const unread = notices.filter((notice) => notice.seq > read).length;

  useEffect(() => {
    const sync = () => readElsewhere(readUpTo());
    addEventListener("storage", sync); // another tab read them
    return () => removeEventListener("storage", sync);
  }, []);

  const toggle = () => {
    if (!open) setMarked(read);
    setOpen(!open);
  };

  // what is on the screen is read
  const newest = notices[0]?.seq ?? 0;
  useEffect(() => {
    if (!open) return;
    markRead(newest);
    readElsewhere(newest);
  }, [open, newest]);

  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) truebeat` : "truebeat";
  }, [unread]);

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Esc closes what is open within
    <div
      className="notifications"
      ref={box}
      onKeyDown={(event) => {
        if (event.key === "Escape" && open) {
          event.stopPropagation();
          toggle();
          box.current?.querySelector("button")?.focus();
        }
      }}
    >
      <button
        type="button"
        id="notices-button"
        aria-expanded={open}
        {...(open && { "aria-controls": "notices" })}
        onClick={toggle}
      >
        Notices{unread > 0 && <span className="badge">{unread}</span>}
        <span className="visually-hidden">{unread} unread</span>
      </button>
      {open && (
        <section id="notices" className="notices" aria-label="Notices">
          {notices.length === 0 && <p>Nothing yet.</p>}
          <ol>
            {notices.map((notice) => (
              <li key={notice.seq} className={notice.seq > marked ? "is-unread" : ""}>
                <button
                  type="button"
                  onClick={() => {
                    go(placeOf(notice));
                    setOpen(false);
                  }}
                >
                  <time dateTime={notice.at}>{moment(notice.at)}</time>
                  <strong>{notice.name}</strong> {WORDS[notice.type] ?? notice.type}
                  {notice.text && <span className="notice-text">{notice.text}</span>}
                </button>
              </li>
            ))}
          </ol>
        </section>
      )}
    </div>
  );
}
