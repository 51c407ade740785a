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
    lineage uuid NOT NULL, -- the first token of those that followed each other by rotation: who sends is known by it
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

-- The mailboxes: everything sent to a workspace. `place` is the order in which tasks wait.
CREATE SEQUENCE tasks_place;

-- No foreign key to workspaces: its row locks would make a send wait for a health flip, and the other way round.
-- Workspaces are never deleted; the rescuer rejects what was sent to one in the moment of its removal.
CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    context_id text COLLATE "C" NOT NULL,
    place bigint NOT NULL DEFAULT nextval('tasks_place'),
    priority smallint NOT NULL,
    state text NOT NULL,
    on_interrupt text NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    generation bigint, -- of the worker that holds it; with attempt the fence
    begun integer NOT NULL DEFAULT 0,
    returned integer NOT NULL DEFAULT 0,
    reply boolean NOT NULL DEFAULT false,
    interrupted boolean NOT NULL DEFAULT false,
    cancel_requested boolean NOT NULL DEFAULT false,
    reason text NOT NULL DEFAULT '',
    sender_kind text NOT NULL,
    sender_id text COLLATE "C" NOT NULL,
    sender_name text NOT NULL,
    text text NOT NULL,
    parts jsonb NOT NULL,
    message jsonb,
    metadata jsonb NOT NULL,
    reply_text text, -- of the reply that the present or next attempt is about
    reply_parts jsonb,
    answer text NOT NULL DEFAULT '',
    answer_parts jsonb NOT NULL DEFAULT '[]',
    updates integer NOT NULL, -- seq of the last entry of task_updates
    streamed bigint NOT NULL DEFAULT 0, -- characters of updates
    chunks integer NOT NULL DEFAULT 0, -- index of the next chunk of the present attempt
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz,
    head boolean NOT NULL, -- the oldest unfinished one of its context: no other of that context may be claimed
    bytes bigint NOT NULL, -- of its texts and parts in a list, or more
    CONSTRAINT tasks_state_known CHECK (
        state IN (
            'submitted', 'working', 'input-required', 'auth-required', 'completed', 'failed', 'canceled', 'rejected'
        )
    ),
    CONSTRAINT tasks_held_only_unfinished CHECK (generation IS NULL OR state IN ('submitted', 'working')),
    CONSTRAINT tasks_working_is_held CHECK (state <> 'working' OR generation IS NOT NULL),
    CONSTRAINT tasks_sender_known CHECK (sender_kind IN ('person', 'client', 'workspace')),
    CONSTRAINT tasks_on_interrupt_known CHECK (on_interrupt IN ('retry', 'fail'))
);
CREATE INDEX tasks_queue ON tasks (workspace_id, head, priority DESC, place)
WHERE state = 'submitted' AND generation IS NULL;
CREATE INDEX tasks_paused ON tasks (workspace_id) WHERE state IN ('input-required', 'auth-required');
CREATE INDEX tasks_unfinished ON tasks (workspace_id, context_id, place) WHERE state IN ('submitted', 'working');
CREATE INDEX tasks_held ON tasks (workspace_id, generation) WHERE generation IS NOT NULL;
CREATE INDEX tasks_by_state ON tasks (state, updated_at DESC, id DESC);
CREATE INDEX tasks_of_workspace ON tasks (workspace_id, updated_at DESC, id DESC);
CREATE INDEX tasks_of_context ON tasks (context_id, updated_at DESC, id DESC);
CREATE INDEX tasks_of_sending_workspace ON tasks (sender_id, updated_at DESC, id DESC) WHERE sender_kind = 'workspace';

-- A task's own log, for readers of its stream.
CREATE TABLE task_updates (
    task_id uuid NOT NULL REFERENCES tasks (id),
    seq integer NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    text text NOT NULL,
    name text NOT NULL,
    parts jsonb NOT NULL,
    message jsonb,
    PRIMARY KEY (task_id, seq)
);

-- A send repeated with the same key within a day is the same task.
CREATE TABLE idempotency_keys (
    sender text COLLATE "C" NOT NULL,
    workspace_id uuid NOT NULL,
    key text COLLATE "C" NOT NULL,
    task_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (sender, workspace_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (at);

-- Where the updates of a task are pushed to. No foreign key to tasks: its row locks would hold up their results.
CREATE TABLE push_configs (
    task_id uuid NOT NULL,
    id text NOT NULL,
    url text NOT NULL,
    token text NOT NULL, -- the client's own, sent back to it with each notification
    scheme text NOT NULL, -- with credentials the Authorization header of each notification, "" for none
    credentials text NOT NULL,
    delivered integer NOT NULL, -- seq of the last update that is done with
    done boolean NOT NULL, -- nothing follows
    created_at timestamptz NOT NULL,
    PRIMARY KEY (task_id, id)
);
CREATE INDEX push_configs_under_way ON push_configs (task_id, id) WHERE NOT done;

-- Logins of the canvas. A session is as good as the token it was opened with, and no longer.
CREATE TABLE sessions (
    hash bytea PRIMARY KEY,
    token_id uuid NOT NULL REFERENCES tokens (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT sessions_hash_is_sha256 CHECK (octet_length(hash) = 32)
);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- A task whose sender is a workspace and that it asked for as a delegation; written with its task. No foreign keys: their
-- row locks would make the end of one task wait for another.
CREATE TABLE delegations (
    task_id uuid PRIMARY KEY,
    source_id uuid NOT NULL,
    target_id uuid NOT NULL,
    source_task_id uuid, -- of the source: what it was needed for
    root_id uuid NOT NULL, -- the first task of the chain
    depth smallint NOT NULL,
    created_at timestamptz NOT NULL,
    deadline_at timestamptz,
    ended_at timestamptz,
    waited boolean NOT NULL, -- somebody waits for the answer, who gets it directly
    withdrawn boolean NOT NULL DEFAULT false, -- the source wants no result any more
    ready_at timestamptz, -- there is something to give: an end, or a question
    held_until timestamptz, -- until then it is the waiting caller's
    given_task_id uuid, -- the attempt that has it now
    given_attempt integer,
    gives integer NOT NULL DEFAULT 0,
    wake_at timestamptz, -- not before: it was given in vain
    consumed_at timestamptz,
    tool_calls integer,
    source_context text NOT NULL, -- the source's conversation that it was needed in
    CONSTRAINT delegations_depth_positive CHECK (depth > 0),
    CONSTRAINT delegations_given_whole CHECK ((given_task_id IS NULL) = (given_attempt IS NULL)),
    CONSTRAINT delegations_consumed_was_ready CHECK (consumed_at IS NULL OR ready_at IS NOT NULL)
);
CREATE INDEX delegations_of_source ON delegations (source_id, created_at DESC, task_id DESC);
CREATE INDEX delegations_to_target ON delegations (target_id, created_at DESC, task_id DESC);
CREATE INDEX delegations_of_root ON delegations (root_id);
CREATE INDEX delegations_for_task ON delegations (source_task_id);
CREATE INDEX delegations_open ON delegations (source_id) WHERE ended_at IS NULL;
CREATE INDEX delegations_due ON delegations (deadline_at) WHERE ended_at IS NULL AND deadline_at IS NOT NULL;
CREATE INDEX delegations_ready ON delegations (source_id, ready_at) WHERE ready_at IS NOT NULL AND consumed_at IS NULL;
CREATE INDEX delegations_given ON delegations (given_task_id) WHERE given_task_id IS NOT NULL AND consumed_at IS NULL;

-- The tasks by which the platform woke a workspace because of results; latest: of those of one conversation. origin: what
-- they were needed for.
CREATE TABLE wakes (
    task_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    origin_task_id uuid,
    latest boolean NOT NULL DEFAULT true,
    context_id text NOT NULL
);
CREATE UNIQUE INDEX wakes_latest ON wakes (workspace_id, context_id) WHERE latest;
CREATE INDEX wakes_by_origin ON wakes (origin_task_id);

-- What people are told: by workspaces, and by the platform when a delegation ended.
CREATE TABLE notifications (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    delegation_id uuid,
    at timestamptz NOT NULL,
    type text NOT NULL,
    message text NOT NULL,
    link text NOT NULL,
    read_at timestamptz
);
CREATE INDEX notifications_by_time ON notifications (at DESC, id DESC);
CREATE INDEX notifications_unread ON notifications (at DESC, id DESC) WHERE read_at IS NULL;
