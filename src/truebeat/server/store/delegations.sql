-- name: insert
INSERT INTO delegations (
    task_id, source_id, target_id, source_task_id, root_id, depth, created_at, deadline_at, waited,
    source_context
)
SELECT *
FROM unnest(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::smallint[], $7::timestamptz[], $8::timestamptz[],
    $9::boolean[], $10::text[]
)

-- name: count_open
SELECT source_id, count(*) AS open
FROM delegations
WHERE ended_at IS NULL AND source_id = ANY($1::uuid[])
GROUP BY source_id

-- name: ready
-- Tasks of $1 that ended ($4) or ask ($4 false). The answer of a waited one is its caller's for a while, who gets one
-- answer: after a question nobody waits. What was withdrawn and is canceled ($6) nobody wants; an answer that was quicker
-- than the cancel is not lost. Tells of those that are delegations.
UPDATE delegations
SET ready_at = $2,
    ended_at = CASE WHEN new.ended THEN $2::timestamptz END,
    held_until = CASE WHEN waited THEN $3::timestamptz END,
    waited = waited AND new.ended,
    given_task_id = NULL,
    given_attempt = NULL,
    gives = 0,
    wake_at = NULL,
    consumed_at = CASE WHEN withdrawn AND new.canceled THEN $2::timestamptz END,
    tool_calls = new.tool_calls
FROM unnest($1::uuid[], $4::boolean[], $5::integer[], $6::boolean[]) AS new (task_id, ended, tool_calls, canceled)
WHERE delegations.task_id = new.task_id AND delegations.ended_at IS NULL
RETURNING delegations.task_id, source_id, target_id, root_id, depth, waited, withdrawn

-- name: replied
-- The question was answered: there is nothing to give any more.
UPDATE delegations
SET ready_at = NULL, held_until = NULL, given_task_id = NULL, given_attempt = NULL, consumed_at = NULL
WHERE task_id = ANY($1::uuid[]) AND ended_at IS NULL

-- name: consume_given
-- Attempts that are done with what they were given.
UPDATE delegations
SET consumed_at = $3
FROM unnest($1::uuid[], $2::integer[]) AS ended (task_id, attempt)
WHERE given_task_id = ended.task_id AND given_attempt = ended.attempt AND consumed_at IS NULL
RETURNING delegations.task_id, source_id

-- name: release_given
-- Attempts that ended without being done with what they were given: it waits again, and for longer each time.
UPDATE delegations
SET given_task_id = NULL, given_attempt = NULL, held_until = NULL,
    wake_at = $3::timestamptz + make_interval(secs => least(3600, 2.0 * 2 ^ gives))
FROM unnest($1::uuid[], $2::integer[]) AS ended (task_id, attempt)
WHERE given_task_id = ended.task_id AND given_attempt = ended.attempt AND consumed_at IS NULL
RETURNING delegations.task_id, source_id

-- name: give
-- What waits for each (workspace, task, attempt) in the conversation of that task ($6), and in no other, the oldest first,
-- at most $5 of each.
WITH takers AS (
    SELECT *
    FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $6::text[]) AS taker (workspace_id, task_id, attempt, context_id)
),
picked AS (
    SELECT found.task_id, takers.task_id AS taker, takers.attempt
    FROM takers
    CROSS JOIN LATERAL (
        SELECT task_id
        FROM delegations
        WHERE source_id = takers.workspace_id
            AND source_context = takers.context_id
            AND ready_at IS NOT NULL
            AND consumed_at IS NULL
            AND given_task_id IS NULL
            AND (held_until IS NULL OR held_until <= $4)
        ORDER BY ready_at, task_id
        LIMIT $5
        FOR UPDATE
    ) AS found
)
UPDATE delegations
SET given_task_id = picked.taker, given_attempt = picked.attempt, gives = gives + 1, held_until = NULL
FROM picked
WHERE delegations.task_id = picked.task_id
RETURNING delegations.task_id, source_id, target_id, root_id, depth

-- name: given
-- What attempts have, as their envelopes, the oldest first.
SELECT delegations.given_task_id, delegations.task_id, delegations.target_id, delegations.ready_at,
    delegations.tool_calls, tasks.state, tasks.reason, tasks.text AS asked, workspaces.name AS target_name,
    left(tasks.answer, $2) AS answer, length(tasks.answer) > $2 AS cut
FROM delegations
JOIN tasks ON tasks.id = delegations.task_id
JOIN workspaces ON workspaces.id = delegations.target_id
WHERE delegations.given_task_id = ANY($1::uuid[]) AND delegations.consumed_at IS NULL
ORDER BY delegations.ready_at, delegations.task_id

-- name: unwoken
-- Of these sources (or of all: NULL) the conversations with something to give and no wake under way; with the oldest of it.
-- OFFSET 0: what waits is little, so each task is looked up by its id; else all tasks there are may be read.
SELECT DISTINCT ON (waiting.source_id, waiting.source_context)
    waiting.source_id, waiting.task_id, task.state, waiting.source_context AS context_id,
    workspaces.parent_id,
    coalesce(
        (SELECT origin_task_id FROM wakes WHERE wakes.task_id = waiting.source_task_id), waiting.source_task_id
    ) AS origin
FROM delegations AS waiting
CROSS JOIN LATERAL (SELECT state FROM tasks WHERE tasks.id = waiting.task_id OFFSET 0) AS task
JOIN workspaces ON workspaces.id = waiting.source_id AND workspaces.status <> 'removed'
WHERE ($1::uuid[] IS NULL OR waiting.source_id = ANY($1::uuid[]))
    AND waiting.ready_at IS NOT NULL
    AND waiting.consumed_at IS NULL
    AND waiting.given_task_id IS NULL
    AND waiting.gives < $3
    AND (waiting.held_until IS NULL OR waiting.held_until <= $2)
    AND (waiting.wake_at IS NULL OR waiting.wake_at <= $2)
    AND NOT EXISTS (
        SELECT
        FROM wakes
        JOIN tasks AS wake ON wake.id = wakes.task_id
        WHERE wakes.workspace_id = waiting.source_id
            AND wakes.context_id = waiting.source_context
            AND wakes.latest
            AND wake.state IN ('submitted', 'working')
        OFFSET 0
    )
ORDER BY waiting.source_id, waiting.source_context, waiting.ready_at, waiting.task_id

-- name: retire_wakes
UPDATE wakes
SET latest = false
FROM unnest($1::uuid[], $2::text[]) AS woken (workspace_id, context_id)
WHERE latest AND wakes.workspace_id = woken.workspace_id AND wakes.context_id = woken.context_id

-- name: insert_wakes
INSERT INTO wakes (task_id, workspace_id, origin_task_id, context_id)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[])

-- name: idle_wakes
-- Wakes of these workspaces that wait in their mailboxes and have nothing to bring any more. One that had begun is work
-- that was interrupted: it is finished, and what it gave others to do stays wanted.
SELECT wakes.task_id
FROM wakes
JOIN tasks ON tasks.id = wakes.task_id
WHERE wakes.workspace_id = ANY($1::uuid[])
    AND wakes.latest
    AND tasks.state = 'submitted'
    AND tasks.generation IS NULL
    AND tasks.begun = 0
    AND NOT EXISTS (SELECT FROM delegations WHERE delegations.source_task_id = wakes.task_id)
    AND NOT EXISTS (
        SELECT
        FROM delegations
        WHERE delegations.source_id = wakes.workspace_id
            AND delegations.source_context = wakes.context_id
            AND delegations.ready_at IS NOT NULL
            AND delegations.consumed_at IS NULL
            AND delegations.given_task_id IS NULL
            AND (delegations.held_until IS NULL OR delegations.held_until <= $2)
    )

-- name: waiting_sources
-- Workspaces with anything that is ready and not consumed.
SELECT DISTINCT source_id
FROM delegations
WHERE ready_at IS NOT NULL AND consumed_at IS NULL

-- name: given_tasks
SELECT DISTINCT given_task_id
FROM delegations
WHERE given_task_id IS NOT NULL AND consumed_at IS NULL

-- name: confirm
-- Its source has the result. With a turn that is on ($3, $4) it is consumed when that turn is.
UPDATE delegations
SET consumed_at = CASE WHEN $3::uuid IS NULL THEN $2::timestamptz END,
    given_task_id = coalesce($3, given_task_id),
    given_attempt = CASE WHEN $3::uuid IS NULL THEN given_attempt ELSE $4::integer END,
    held_until = NULL
WHERE task_id = $1 AND ready_at IS NOT NULL AND consumed_at IS NULL AND given_task_id IS NULL
RETURNING source_id

-- name: done_well
SELECT EXISTS (
    SELECT
    FROM tasks
    WHERE id = $1 AND workspace_id = $2 AND state IN ('completed', 'input-required', 'auth-required')
)

-- name: unwait
-- Whoever waited does so no longer. If it had become ready meanwhile the answer goes to them all the same.
UPDATE delegations
SET waited = false
WHERE task_id = $1 AND ready_at IS NULL
RETURNING task_id

-- name: hold
-- The caller that asks gets what is ready, and nobody else for a while.
UPDATE delegations
SET held_until = $2
WHERE task_id = $1 AND ready_at IS NOT NULL AND consumed_at IS NULL AND given_task_id IS NULL

-- name: chain
-- The delegation of task $1, then that of the task it was needed for, and so on up. Wakes stand for what woke.
WITH RECURSIVE up AS (
    SELECT delegations.*, 1 AS step
    FROM delegations
    WHERE task_id = coalesce((SELECT origin_task_id FROM wakes WHERE task_id = $1), $1)
    UNION ALL
    SELECT delegations.*, up.step + 1
    FROM up
    JOIN delegations
        ON delegations.task_id = coalesce(
            (SELECT origin_task_id FROM wakes WHERE wakes.task_id = up.source_task_id), up.source_task_id
        )
    WHERE up.step < 64
)
SELECT task_id, source_id, target_id, source_task_id, root_id, depth, deadline_at
FROM up
ORDER BY step

-- name: working
-- Tasks that a worker of the workspace has, with how deep they are. Also before its word that it began one is on disk.
SELECT tasks.id, tasks.attempt, coalesce(delegations.depth, 0) AS depth
FROM tasks
LEFT JOIN delegations ON delegations.task_id = tasks.id
WHERE tasks.workspace_id = $1 AND tasks.generation IS NOT NULL
ORDER BY tasks.state DESC, 3 DESC, tasks.place

-- name: below
-- Open delegations that were made because of task $1, and because of those, and so on down.
WITH RECURSIVE down AS (
    SELECT task_id, ended_at, 1 AS step
    FROM delegations
    WHERE source_task_id = ANY (
        ARRAY(SELECT $1::uuid UNION ALL SELECT wakes.task_id FROM wakes WHERE wakes.origin_task_id = $1)
    )
    UNION
    SELECT found.task_id, found.ended_at, down.step + 1
    FROM down
    CROSS JOIN LATERAL (
        SELECT delegations.task_id, delegations.ended_at
        FROM delegations
        WHERE delegations.source_task_id = ANY (
            ARRAY(
                SELECT down.task_id UNION ALL SELECT wakes.task_id FROM wakes WHERE wakes.origin_task_id = down.task_id
            )
        )
    ) AS found
    WHERE down.step < 64
)
SELECT DISTINCT task_id, step
FROM down
WHERE ended_at IS NULL
ORDER BY step DESC

-- name: withdraw
UPDATE delegations
SET withdrawn = true
WHERE task_id = ANY($1::uuid[]) AND ended_at IS NULL

-- name: overdue
SELECT task_id
FROM delegations
WHERE ended_at IS NULL AND deadline_at <= $1
ORDER BY depth
LIMIT $2

-- name: orphans
-- Tasks that were canceled, with open delegations that were needed for them.
SELECT DISTINCT delegations.source_task_id AS task_id
FROM delegations
CROSS JOIN LATERAL (
    SELECT state, cancel_requested FROM tasks WHERE tasks.id = delegations.source_task_id OFFSET 0
) AS task
WHERE delegations.ended_at IS NULL AND (task.state = 'canceled' OR task.cancel_requested)
LIMIT $1

-- name: left_behind
-- Open delegations whose source was removed, and that nobody told to end yet.
SELECT delegations.task_id
FROM delegations
JOIN workspaces ON workspaces.id = delegations.source_id
JOIN tasks ON tasks.id = delegations.task_id
WHERE delegations.ended_at IS NULL AND workspaces.status = 'removed' AND NOT tasks.cancel_requested
LIMIT $1

-- name: get
SELECT delegations.*, tasks.state, tasks.reason, tasks.text AS asked, tasks.context_id, tasks.updated_at,
    tasks.sender_name AS source_name, workspaces.name AS target_name,
    left(tasks.answer, $2) AS answer, length(tasks.answer) > $2 AS cut
FROM delegations
JOIN tasks ON tasks.id = delegations.task_id
JOIN workspaces ON workspaces.id = delegations.target_id
WHERE delegations.task_id = $1

-- name: page_of_source
SELECT delegations.*, tasks.state, tasks.reason, left(tasks.text, 4000) AS asked, tasks.context_id, tasks.updated_at,
    tasks.sender_name AS source_name, workspaces.name AS target_name,
    left(tasks.answer, $3) AS answer, length(tasks.answer) > $3 AS cut
FROM delegations
JOIN tasks ON tasks.id = delegations.task_id
JOIN workspaces ON workspaces.id = delegations.target_id
WHERE delegations.source_id = $1
ORDER BY delegations.created_at DESC, delegations.task_id DESC
LIMIT $2

-- name: page_of_target
SELECT delegations.*, tasks.state, tasks.reason, left(tasks.text, 4000) AS asked, tasks.context_id, tasks.updated_at,
    tasks.sender_name AS source_name, workspaces.name AS target_name,
    left(tasks.answer, $3) AS answer, length(tasks.answer) > $3 AS cut
FROM delegations
JOIN tasks ON tasks.id = delegations.task_id
JOIN workspaces ON workspaces.id = delegations.target_id
WHERE delegations.target_id = $1
ORDER BY delegations.created_at DESC, delegations.task_id DESC
LIMIT $2

-- name: open_ones
-- What has not ended, of all (NULL) or of those that workspace $1 is part of.
SELECT delegations.task_id, delegations.source_id, delegations.target_id, delegations.created_at, tasks.state,
    count(*) OVER () AS total
FROM delegations
JOIN tasks ON tasks.id = delegations.task_id
WHERE delegations.ended_at IS NULL AND ($1::uuid IS NULL OR $1 IN (delegations.source_id, delegations.target_id))
ORDER BY delegations.created_at DESC, delegations.task_id DESC
LIMIT $2

-- name: relations
-- $1 and $2 with all above them: (id, parent, how far above, whose).
WITH RECURSIVE up AS (
    SELECT id AS whose, id, parent_id, 0 AS step
    FROM workspaces
    WHERE id = ANY($1::uuid[])
    UNION ALL
    SELECT up.whose, workspaces.id, workspaces.parent_id, up.step + 1
    FROM up
    JOIN workspaces ON workspaces.id = up.parent_id
    WHERE up.step < 64
)
SELECT up.whose, up.id, up.parent_id, up.step,
    EXISTS (SELECT FROM workspaces AS child WHERE child.parent_id = up.id AND child.status <> 'removed') AS leads
FROM up
ORDER BY up.whose, up.step

-- name: exists
SELECT EXISTS (SELECT FROM workspaces WHERE id = $1)

-- name: living
SELECT id, name, role, parent_id
FROM workspaces
WHERE status <> 'removed'
ORDER BY name, id

-- name: tree
-- Every task of the tree with that root, as readers of a trace get it.
SELECT tasks.id, tasks.workspace_id, workspaces.name AS workspace_name, tasks.sender_kind, tasks.sender_id,
    tasks.sender_name, tasks.state, left(tasks.text, 4000) AS asked, tasks.reason, tasks.attempt, tasks.created_at,
    tasks.ended_at, delegations.source_task_id, coalesce(delegations.depth, 0) AS depth, delegations.deadline_at,
    delegations.consumed_at IS NOT NULL AS consumed, wakes.origin_task_id, wakes.task_id IS NOT NULL AS wake,
    (
        SELECT min(at)
        FROM task_updates
        WHERE task_updates.task_id = tasks.id AND task_updates.kind = 'status' AND task_updates.state = 'working'
    ) AS begun_at
FROM (
    SELECT $1::uuid AS id
    UNION
    SELECT task_id FROM delegations WHERE root_id = $1
    UNION
    SELECT wakes.task_id
    FROM wakes
    WHERE wakes.origin_task_id = ANY (
        ARRAY(SELECT $1::uuid UNION ALL SELECT delegations.task_id FROM delegations WHERE delegations.root_id = $1)
    )
) AS members
JOIN tasks ON tasks.id = members.id
JOIN workspaces ON workspaces.id = tasks.workspace_id
LEFT JOIN delegations ON delegations.task_id = tasks.id
LEFT JOIN wakes ON wakes.task_id = tasks.id
ORDER BY tasks.created_at, tasks.id
LIMIT $2

-- name: root
-- The first task of the tree that a task is part of.
SELECT coalesce(
    (SELECT root_id FROM delegations WHERE task_id = named.id),
    named.id
)
FROM (SELECT coalesce((SELECT origin_task_id FROM wakes WHERE task_id = $1), $1) AS id) AS named
