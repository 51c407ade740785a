/** The search box's language: words, and `status:WORD`; all must hold. */

import type { WorkspaceView } from "./generated";
import { isTrouble, reason } from "./status";

export function matcher(filter: string): (workspace: WorkspaceView) => boolean {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return () => true;
  return (workspace) =>
    words.every((word) => {
      if (word.startsWith("status:")) {
        const wanted = word.slice("status:".length);
        return wanted === "trouble" ? isTrouble(workspace.status) : workspace.status.startsWith(wanted);
      }
      const text = `${workspace.name} ${workspace.role} ${workspace.status} ${workspace.phase ?? ""} ${reason(workspace)}`;
      return text.toLowerCase().includes(word) || workspace.id.startsWith(word);
    });
}
