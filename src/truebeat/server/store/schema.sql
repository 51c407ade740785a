-- The schema that the migrations yield, for reading; a test holds the two equal. Never applied: `truebeat migrate up` is.

CREATE TYPE workspace_status AS ENUM ('provisioning', 'online', 'offline', 'degraded', 'failed', 'removed');

-- One agent identity. `status` is derived from `conditions` and written only together with them;
-- `version` counts those writes: it is what compare-and-set compares.
CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    role text NOT NULL DEFAULT '',
    parent_id uuid REFERENCES workspaces (id),
    url text, -- information; never dialled
    agent_card jsonb,
    created_at timestamptz NOT NULL,
    registered_at timestamptz, -- the first registration
    status workspace_status NOT NULL DEFAULT 'provisioning',
    conditions jsonb NOT NULL DEFAULT '[]', -- [{symptom, detail, since, generation}]
    generation bigint NOT NULL DEFAULT 0,
    awaiting_above bigint NOT NULL DEFAULT -1,
    version bigint NOT NULL DEFAULT 0
);
CREATE INDEX workspaces_status ON workspaces (status);
CREATE INDEX workspaces_by_name ON workspaces (name, id);
CREATE INDEX workspaces_parent ON workspaces (parent_id);

-- Tokens by the SHA-256 of their secret.
CREATE TABLE tokens (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL,
    workspace_id uuid REFERENCES workspaces (id),
    hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    replaced_by uuid REFERENCES tokens (id),
    CONSTRAINT tokens_hash UNIQUE (hash),
    CONSTRAINT tokens_hash_is_sha256 CHECK (octet_length(hash) = 32),
    CONSTRAINT tokens_role_known CHECK (role IN ('operator', 'member', 'viewer', 'workspace', 'enrolment')),
    CONSTRAINT tokens_workspace_iff_role CHECK ((role = 'workspace') = (workspace_id IS NOT NULL))
);
CREATE INDEX tokens_workspace ON tokens (workspace_id);

-- The log: append-only; `seq` is the order of commits.
CREATE TABLE events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    type text NOT NULL,
    workspace_id uuid,
    payload jsonb NOT NULL,
    cause text NOT NULL
);
CREATE INDEX events_of_workspace ON events (workspace_id, seq);

-- How far the log was pruned: one row.
CREATE TABLE events_pruned (
    one boolean PRIMARY KEY DEFAULT true,
    through bigint NOT NULL,
    CONSTRAINT events_pruned_one_row CHECK (one)
);

-- What the last beats said. Unlogged: a crash of the database empties it, and the next beats fill it again.
CREATE UNLOGGED TABLE leases (
    workspace_id uuid PRIMARY KEY,
    last_beat_at timestamptz NOT NULL,
    runtime_state text,
    error_rate double precision,
    sample_error text,
    active_tasks bigint,
    current_task text,
    uptime_seconds double precision,
    phase text,
    restarts bigint,
    worker_pid bigint
);

-- From the first symptom to the verified recovery; of one workspace at most one is open.
CREATE TABLE incidents (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    symptom text NOT NULL, -- the first one, with its witness and detail
    witness text NOT NULL,
    detail text NOT NULL,
    worst workspace_status NOT NULL,
    generation bigint NOT NULL, -- the highest known when it opened
    recovery text NOT NULL DEFAULT '',
    evidence jsonb, -- what the last beat had told when it opened
    timeline jsonb NOT NULL, -- [{at, kind, status, text, cause, conditions}]
    left_out bigint NOT NULL DEFAULT 0 -- steps and reports that came after the bound
);
CREATE UNIQUE INDEX incidents_open ON incidents (workspace_id) WHERE closed_at IS NULL;
CREATE INDEX incidents_of_workspace ON incidents (workspace_id, opened_at, id);
CREATE INDEX incidents_by_time ON incidents (opened_at, id);

-- What supervisors saw and did. `boot` and `n` number the frames: one that is repeated is stored once.
-- Without an incident: it came before the incident opened, or nobody noticed anything.
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
