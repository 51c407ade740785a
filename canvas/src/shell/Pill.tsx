/** A status as people read it: glyph, word, colour. */

import type { Status } from "../generated";
import { lookOf } from "../status";

export function Glyph({ status }: { status: Status }) {
  const look = lookOf(status);
  return (
    <svg className={`glyph is-${status}`} width="14" height="14" viewBox="0 0 16 16" aria-hidden="true">
      <path
        d={look.path}
        fillRule="evenodd"
        fill={look.hollow ? "none" : "currentColor"}
        stroke={look.hollow ? "currentColor" : "none"}
        strokeWidth={look.hollow ? 2 : 0}
        strokeDasharray={look.dashed ? "3 2.6" : undefined}
      />
    </svg>
  );
}

export function Pill({ status }: { status: Status }) {
  return (
    <span className={`pill is-${status}`}>
      <Glyph status={status} />
      {lookOf(status).word}
    </span>
  );
}
