/** One card of the graph is in the tab order; the arrows move it. And back to where one was. */

import { go, spot } from "../place";

let focused: string | null = null;

export function focusedId(): string | null {
  return focused;
}

export function setFocused(id: string | null): void {
  const before = focused;
  focused = id;
  for (const [card, index] of [
    [before, -1],
    [id, 0],
  ] as const) {
    const element = card ? document.getElementById(`card-${card}`) : null;
    if (element) element.tabIndex = index;
  }
}

export function onCardFocus(id: string): void {
  if (focused !== id) setFocused(id);
}

/** Focus a card of the graph, or its row in the list, as soon as it is drawn. */
export function focusCard(id: string): void {
  setFocused(id);
  let tries = 30;
  const attempt = () => {
    const element = document.getElementById(`card-${id}`) ?? document.getElementById(`row-${id}`);
    if (element) element.focus();
    else if (tries-- > 0) requestAnimationFrame(attempt);
    else document.getElementById("fleet")?.focus();
  };
  attempt();
}

/** Close the panel and go back to the card or row that it was opened from. */
export function closePanel(): void {
  const back = spot().selected;
  if (!back) return;
  go({ selected: null });
  // after the page is drawn without the panel: on a narrow screen the fleet was hidden by it
  requestAnimationFrame(() => focusCard(back));
}
