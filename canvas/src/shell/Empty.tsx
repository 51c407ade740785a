/** Nobody yet: the one command that adds an agent. */

export function Empty() {
  return (
    <section className="empty" aria-labelledby="empty-title">
      <h2 id="empty-title">No workspace yet</h2>
      <p>On this machine, one command adds an agent; it appears here by itself:</p>
      <pre>
        <code>truebeat run ada --agent command --option mode=ndjson -- python -m truebeat.kit.agent ada</code>
      </pre>
      <p>
        Your own program goes behind the two dashes. On another machine, say where this server is and who
        asks:
      </p>
      <pre>
        <code>{`export TRUEBEAT_URL=${location.origin}\nexport TRUEBEAT_TOKEN=…    # from: truebeat token create NAME --role enrolment`}</code>
      </pre>
    </section>
  );
}
