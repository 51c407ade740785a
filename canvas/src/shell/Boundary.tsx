/** What fails to be drawn does not take the rest of the page along. */

import { Component, type ReactNode } from "react";
import { inWords } from "../api";

interface Props {
  /** how the part is called */
  what: string;
  children: ReactNode;
}

export class Boundary extends Component<Props, { failure: string }> {
  override state = { failure: "" };

  static getDerivedStateFromError(error: unknown): { failure: string } {
    return { failure: inWords(error) || "for no reason that it gives" };
  }

  override render(): ReactNode {
    if (!this.state.failure) return this.props.children;
    return (
      <div className="failure" role="alert">
        <p>
          <strong>{this.props.what} could not be drawn.</strong> {this.state.failure}
        </p>
        <button type="button" onClick={() => location.reload()}>
          Reload
        </button>
      </div>
    );
  }
}
