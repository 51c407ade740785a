import { type FormEvent, useState } from "react";
import type { Login as LoginBody } from "../generated";

export function Login({
  problem,
  enter,
}: {
  problem: string;
  enter: (login: Partial<LoginBody>) => Promise<void>;
}) {
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    await enter({ token: token.trim() });
    setBusy(false);
  };
  return (
    <main className="login">
      <form onSubmit={submit}>
        <h1>truebeat</h1>
        <p>
          <code>truebeat canvas</code> prints a link that logs you in. Or paste a token:
        </p>
        <label htmlFor="token">Token</label>
        <input
          id="token"
          type="password"
          autoComplete="current-password"
          value={token}
          onChange={(event) => setToken(event.target.value)}
        />
        <button type="submit" disabled={busy || !token.trim()}>
          Log in
        </button>
        <p role="alert" className="problem">
          {problem}
        </p>
      </form>
    </main>
  );
}
