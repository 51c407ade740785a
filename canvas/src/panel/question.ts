/** A question in the flow of the page: Esc closes it and nothing else, and the focus goes back to what asked it. */

import { useEffect } from "react";

export function useQuestion(open: boolean, close: () => void): void {
  useEffect(() => {
    if (!open) return;
    const opener = document.activeElement;
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
      event.stopPropagation();
      close();
    };
    // before all others, wherever the focus is
    addEventListener("keydown", onKey, true);
    return () => {
      removeEventListener("keydown", onKey, true);
      // after it is drawn without the question; the button may come back only then
      requestAnimationFrame(() => {
        const lost = !document.activeElement || document.activeElement === document.body;
        if (lost && opener instanceof HTMLElement) opener.focus();
      });
    };
  }, [open, close]);
}
