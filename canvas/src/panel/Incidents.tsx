import type { WorkspaceView } from "../generated";

export function Incidents({ workspace }: { workspace: WorkspaceView }) {
  return <p>{workspace.name}</p>;
}
