/** What the logged-in role may do; the server decides, the page only shows no button that it would refuse. */

import { createContext, useContext } from "react";

export interface Abilities {
  /** restart and remove */
  operate: boolean;
  /** send work, answer, stop */
  send: boolean;
  /** error texts, tasks, what agents tell */
  details: boolean;
}

export function abilitiesOf(role: string): Abilities {
  return {
    operate: role === "operator",
    send: ["operator", "member", "workspace"].includes(role),
    details: ["operator", "member"].includes(role),
  };
}

export const AbilitiesContext = createContext<Abilities>({ operate: false, send: false, details: false });

export function useAbilities(): Abilities {
  return useContext(AbilitiesContext);
}
