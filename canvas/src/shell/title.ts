/** The page's title: read in a tab that nobody looks at, so it must not look calm when nothing is known. */

import { useEffect } from "react";
import { type Connection, useConnection, useUnsure } from "../store";

export function titleOf(unread: number, connection: Connection, unsure: string): string {
  const name = unread > 0 ? `(${unread}) truebeat` : "truebeat";
  if (connection === "reconnecting") return `Not live: ${name}`;
  return unsure ? `Unsure: ${name}` : name;
}

export function useTitle(unread: number): void {
  const connection = useConnection();
  const unsure = useUnsure();
  useEffect(() => {
    document.title = titleOf(unread, connection, unsure);
  }, [unread, connection, unsure]);
  // nobody is logged in any more
  useEffect(
    () => () => {
      document.title = "truebeat";
    },
    [],
  );
}
