-- What workspaces gave each other, which of its results were used, and what people are told.

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

-- The last task by which the platform woke a workspace because of results. origin: what they were needed for.
CREATE TABLE wakes (
    task_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    origin_task_id uuid,
    latest boolean NOT NULL DEFAULT true
);
CREATE UNIQUE INDEX wakes_latest ON wakes (workspace_id) WHERE latest;

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
