import type { WorkspaceView } from "../generated";

export function Timeline({ workspace }: { workspace: WorkspaceView }) {
  return <p>{workspace.name}</p>;
}
