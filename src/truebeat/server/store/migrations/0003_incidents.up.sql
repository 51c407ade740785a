-- Incidents, from the first symptom to the verified recovery, and what supervisors report on them.

CREATE TABLE incidents (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    symptom text NOT NULL,
    witness text NOT NULL,
    detail text NOT NULL,
    worst workspace_status NOT NULL,
    generation bigint NOT NULL,
    recovery text NOT NULL DEFAULT '',
    evidence jsonb,
    timeline jsonb NOT NULL,
    left_out bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX incidents_open ON incidents (workspace_id) WHERE closed_at IS NULL;
CREATE INDEX incidents_of_workspace ON incidents (workspace_id, opened_at, id);
CREATE INDEX incidents_by_time ON incidents (opened_at, id);

CREATE TABLE incident_reports (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    boot bigint NOT NULL,
    n bigint NOT NULL,
    incident_id uuid REFERENCES incidents (id) ON DELETE CASCADE,
    at timestamptz NOT NULL,
    generation bigint NOT NULL,
    kind text NOT NULL,
    detail text NOT NULL,
    action text NOT NULL,
    stack text NOT NULL,
    stderr_tail text NOT NULL,
    facts jsonb NOT NULL,
    PRIMARY KEY (workspace_id, boot, n)
);
CREATE INDEX incident_reports_of_incident ON incident_reports (incident_id);
CREATE INDEX incident_reports_loose ON incident_reports (workspace_id, at) WHERE incident_id IS NULL;
