import type { WorkspaceView } from "../generated";

export function Tasks({ workspace }: { workspace: WorkspaceView }) {
  return <p>{workspace.name}</p>;
}
