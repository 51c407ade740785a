/** One card of the graph is in the tab order; the arrows move it. */

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

/** Focus a card, as soon as it is drawn. */
export function focusCard(id: string): void {
  setFocused(id);
  let tries = 30;
  const attempt = () => {
    const element = document.getElementById(`card-${id}`);
    if (element) element.focus();
    else if (tries-- > 0) requestAnimationFrame(attempt);
  };
  attempt();
}
