/** What the logged-in role may do; the server decides, the page only shows no button that it would refuse. */

import { createContext, useContext } from "react";

export interface Abilities {
  /** restart and remove */
  operate: boolean;
  /** send work, answer, stop */
  send: boolean;
}

export function abilitiesOf(role: string): Abilities {
  return { operate: role === "operator", send: ["operator", "member", "workspace"].includes(role) };
}

export const AbilitiesContext = createContext<Abilities>({ operate: false, send: false });

export function useAbilities(): Abilities {
  return useContext(AbilitiesContext);
}
