/** Said above everything while the server itself does not believe what it shows. */

import { useUnsure } from "../store";

export function Banner() {
  const unsure = useUnsure();
  if (!unsure) return null;
  return (
    <aside className="banner" aria-label="The server doubts itself">
      <p role="alert">
        <strong>The server doubts itself: no status is sure now.</strong>
      </p>
      <p>{unsure}</p>
    </aside>
  );
}
