/** What an agent or a person wrote: always text, never markup; a long one is cut until one wants all of it. */

import { useState } from "react";

/** characters shown at first */
const SHOWN = 4000;

export function Said({ text, look }: { text: string; look: "said" | "answer" }) {
  const [whole, setWhole] = useState(false);
  const cut = text.length > SHOWN && !whole;
  return (
    <>
      <p className={look}>{cut ? `${text.slice(0, SHOWN)}…` : text}</p>
      {cut && (
        <button type="button" className="quiet" onClick={() => setWhole(true)}>
          Show all {text.length.toLocaleString()} characters
        </button>
      )}
    </>
  );
}

/** Parts that are no text, as the JSON that they are. */
export function Data({ parts, name }: { parts: readonly Record<string, unknown>[]; name: string }) {
  if (parts.length === 0) return null;
  return (
    <details>
      <summary>{name}</summary>
      <pre>{JSON.stringify(parts, null, 2).slice(0, 100_000)}</pre>
    </details>
  );
}
