import type { WorkspaceView } from "../generated";

export function Chat({ workspace }: { workspace: WorkspaceView }) {
  return <p>{workspace.name}</p>;
}
