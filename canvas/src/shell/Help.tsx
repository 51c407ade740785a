import { useEffect, useRef } from "react";
import { STATUSES } from "../generated";
import { Pill } from "./Pill";

const MEANINGS = {
  online: "it proves, beat by beat, that it works",
  degraded: "it lives and can't do its work, or fails at it; the reason stands on its card",
  provisioning: "it has not beaten yet, or a new generation is starting",
  offline: "nothing is heard of it",
  failed: "given up: an operator must act",
  removed: "gone for good",
} as const;

const KEYS: readonly [string, string][] = [
  ["/", "search: words, status:degraded, status:trouble"],
  ["arrows", "move through the hierarchy"],
  ["Enter", "open what is focused"],
  ["Esc", "back to where you were"],
  ["l", "graph or list"],
  ["n", "notices"],
  ["?", "this help"],
];

export function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);
  return (
    <dialog ref={dialog} className="help" aria-labelledby="help-title" onClose={close}>
      <h2 id="help-title">Help</h2>
      <table>
        <tbody>
          {KEYS.map(([key, meaning]) => (
            <tr key={key}>
              <th scope="row">
                <kbd>{key}</kbd>
              </th>
              <td>{meaning}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <h3>Statuses</h3>
      <dl>
        {[...STATUSES].reverse().map((status) => (
          <div key={status}>
            <dt>
              <Pill status={status} />
            </dt>
            <dd>{MEANINGS[status]}</dd>
          </div>
        ))}
      </dl>
      <button type="button" onClick={close}>
        Close
      </button>
    </dialog>
  );
}
