/** Nobody yet: the one command that adds an agent. */

export function Empty() {
  return (
    <section className="empty">
      <h2>No workspace yet</h2>
      <p>Run an agent where you like, with this server's token in its environment:</p>
      <pre>
        <code>truebeat run ada --agent command -- python -m truebeat.kit.agent ada</code>
      </pre>
      <p>It appears here by itself. Your own program goes behind the two dashes.</p>
    </section>
  );
}
