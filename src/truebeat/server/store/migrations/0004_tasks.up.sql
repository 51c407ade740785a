-- The mailboxes: tasks, what each put out on its way, and the keys that make a repeated send the same task.

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
    generation bigint,
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
    reply_text text,
    reply_parts jsonb,
    answer text NOT NULL DEFAULT '',
    answer_parts jsonb NOT NULL DEFAULT '[]',
    updates integer NOT NULL,
    streamed bigint NOT NULL DEFAULT 0,
    chunks integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz,
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
CREATE INDEX tasks_queue ON tasks (workspace_id, priority DESC, place) WHERE state = 'submitted' AND generation IS NULL;
CREATE INDEX tasks_unfinished ON tasks (workspace_id, context_id, place) WHERE state IN ('submitted', 'working');
CREATE INDEX tasks_held ON tasks (workspace_id, generation) WHERE generation IS NOT NULL;
CREATE INDEX tasks_by_change ON tasks (updated_at DESC, id DESC);
CREATE INDEX tasks_of_workspace ON tasks (workspace_id, updated_at DESC, id DESC);
CREATE INDEX tasks_of_context ON tasks (context_id, updated_at DESC, id DESC);
CREATE INDEX tasks_of_sending_workspace ON tasks (sender_id, updated_at DESC, id DESC) WHERE sender_kind = 'workspace';

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
