-- name: insert
-- Many at once with the first update of each, in the order given: `place` is drawn in that order. The first of a context
-- in which nothing is unfinished is its head (asked for by a subquery with a limit, which no planner turns into a scan of
-- all). One with a generation is claimed for it at once, as `claim` would. With the events of them, if any are given:
-- then this is the whole transaction, under the event log's lock as events.sql describes it.
WITH new AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $20::bigint[]
    ) WITH ORDINALITY AS new (
        id, workspace_id, context_id, priority, on_interrupt, sender_kind, sender_id, sender_name,
        text, parts, message, metadata, at, generation, nth
    )
),
made AS (
    INSERT INTO tasks (
        id, workspace_id, context_id, priority, state, on_interrupt, sender_kind, sender_id, sender_name,
        text, parts, message, metadata, updates, created_at, updated_at, generation, attempt, head, bytes
    )
    SELECT
        new.id, new.workspace_id, new.context_id, new.priority, 'submitted', new.on_interrupt,
        new.sender_kind, new.sender_id, new.sender_name,
        new.text, new.parts::jsonb, new.message::jsonb, new.metadata::jsonb, 1, new.at, new.at,
        new.generation, CASE WHEN new.generation IS NULL THEN 0 ELSE 1 END,
        row_number() OVER (PARTITION BY new.workspace_id, new.context_id ORDER BY new.nth) = 1
        AND coalesce(
            (
                SELECT false
                FROM tasks AS older
                WHERE older.workspace_id = new.workspace_id
                    AND older.context_id = new.context_id
                    AND older.state IN ('submitted', 'working')
                LIMIT 1
            ),
            true
        ),
        octet_length(new.text) + octet_length(new.parts) + coalesce(octet_length(new.message), 0)
        + octet_length(new.metadata)
    FROM new
    ORDER BY new.nth
),
told AS (
    INSERT INTO task_updates (task_id, seq, at, kind, state, text, name, parts)
    SELECT new.id, 1, new.at, 'status', 'submitted', '', '', '[]'
    FROM new
),
locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock($19)
    WHERE cardinality($14::timestamptz[]) > 0
)
INSERT INTO events (at, type, workspace_id, payload, cause)
SELECT happened.at, happened.type, happened.workspace_id, happened.payload::jsonb, happened.cause
FROM locked
CROSS JOIN unnest($14::timestamptz[], $15::text[], $16::uuid[], $17::text[], $18::text[])
    WITH ORDINALITY AS happened (at, type, workspace_id, payload, cause, nth)
ORDER BY happened.nth
RETURNING seq

-- name: hold
-- What the life cycle needs to know; nobody else changes these until the transaction ends. shared: another of its context
-- is unfinished.
SELECT id, workspace_id, context_id, priority, state, on_interrupt, attempt, generation, begun, returned, reply, interrupted,
    cancel_requested, reason, sender_kind, sender_id, sender_name, updates, streamed, chunks,
    coalesce(
        (
            SELECT true
            FROM tasks AS other
            WHERE other.workspace_id = tasks.workspace_id
                AND other.context_id = tasks.context_id
                AND other.state IN ('submitted', 'working')
                AND other.id <> tasks.id
            LIMIT 1
        ),
        false
    ) AS shared
FROM tasks
WHERE id = ANY($1::uuid[])
ORDER BY id
FOR UPDATE

-- name: save
-- What is NULL in answer, answer_parts, reply_text, reply_parts stays; `last` puts it behind all that wait.
UPDATE tasks
SET state = new.state,
    attempt = new.attempt,
    generation = new.generation,
    begun = new.begun,
    returned = new.returned,
    reply = new.reply,
    interrupted = new.interrupted,
    cancel_requested = new.cancel_requested,
    reason = new.reason,
    updates = new.updates,
    streamed = new.streamed,
    chunks = new.chunks,
    answer = coalesce(new.answer, tasks.answer),
    answer_parts = coalesce(new.answer_parts::jsonb, tasks.answer_parts),
    reply_text = coalesce(new.reply_text, tasks.reply_text),
    reply_parts = coalesce(new.reply_parts::jsonb, tasks.reply_parts),
    place = CASE WHEN new.last THEN nextval('tasks_place') ELSE tasks.place END,
    head = tasks.head AND new.state IN ('submitted', 'working') AND NOT new.last,
    bytes = tasks.bytes + coalesce(octet_length(new.answer), 0) + coalesce(octet_length(new.answer_parts), 0),
    updated_at = new.at,
    ended_at = CASE WHEN new.state IN ('completed', 'failed', 'canceled', 'rejected') THEN new.at END
FROM unnest(
    $1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::integer[], $6::integer[], $7::boolean[], $8::boolean[],
    $9::boolean[], $10::text[], $11::integer[], $12::bigint[], $13::text[], $14::text[], $15::text[], $16::text[],
    $17::boolean[], $18::timestamptz[], $19::integer[]
) AS new (
    id, state, attempt, generation, begun, returned, reply, interrupted,
    cancel_requested, reason, updates, streamed, answer, answer_parts, reply_text, reply_parts, last, at, chunks
)
WHERE tasks.id = new.id

-- name: lead
-- Of each (workspace, context) the oldest unfinished one becomes the head.
UPDATE tasks
SET head = true
FROM unnest($1::uuid[], $2::text[]) AS left_by (workspace_id, context_id)
CROSS JOIN LATERAL (
    SELECT unfinished.id
    FROM tasks AS unfinished
    WHERE unfinished.workspace_id = left_by.workspace_id
        AND unfinished.context_id = left_by.context_id
        AND unfinished.state IN ('submitted', 'working')
    ORDER BY unfinished.place
    LIMIT 1
) AS oldest
WHERE tasks.id = oldest.id AND NOT tasks.head

-- name: mend_heads
-- Every context has exactly its oldest unfinished one as its head, whatever was written behind this server's back.
UPDATE tasks
SET head = seen.oldest
FROM (
    SELECT id, place = min(place) OVER (PARTITION BY workspace_id, context_id) AS oldest
    FROM tasks
    WHERE state IN ('submitted', 'working')
) AS seen
WHERE tasks.id = seen.id AND tasks.head <> seen.oldest

-- name: claim
-- For each (workspace, generation, room): the first tasks by priority, then age, but of each context only the oldest
-- that is unfinished, which is its head. What another claims at the same moment is passed over.
WITH wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::integer[]) AS wanted (workspace_id, generation, room)
),
picked AS (
    SELECT task.id, wanted.generation
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT queued.id
        FROM tasks AS queued
        WHERE queued.workspace_id = wanted.workspace_id
            AND queued.head
            AND queued.state = 'submitted'
            AND queued.generation IS NULL
        ORDER BY queued.priority DESC, queued.place
        LIMIT wanted.room
        FOR UPDATE OF queued SKIP LOCKED
    ) AS task
)
UPDATE tasks
SET generation = picked.generation, attempt = tasks.attempt + 1, chunks = 0, reason = '', updated_at = $4
FROM picked
WHERE tasks.id = picked.id
RETURNING tasks.id, tasks.workspace_id, tasks.context_id, tasks.priority, tasks.place, tasks.generation, tasks.attempt,
    tasks.sender_kind, tasks.sender_id, tasks.sender_name,
    CASE WHEN tasks.reply THEN tasks.reply_text ELSE tasks.text END AS text,
    CASE WHEN tasks.reply THEN tasks.reply_parts ELSE tasks.parts END AS parts,
    tasks.reply, tasks.interrupted

-- name: began
-- Who sent the first task of a conversation.
SELECT sender_kind, sender_id
FROM tasks
WHERE context_id = $2 AND workspace_id = $1
ORDER BY place
LIMIT 1

-- name: deliveries
-- As `claim` tells them: those that are held already and not begun, to be delivered again.
SELECT id, workspace_id, context_id, priority, place, generation, attempt, sender_kind, sender_id, sender_name,
    CASE WHEN reply THEN reply_text ELSE text END AS text,
    CASE WHEN reply THEN reply_parts ELSE parts END AS parts,
    reply, interrupted
FROM tasks
WHERE id = ANY($1::uuid[]) AND generation = $2 AND state = 'submitted' AND NOT cancel_requested
ORDER BY priority DESC, place

-- name: held
-- Every task that a worker of this workspace holds by the ledger.
SELECT id, generation, attempt, state, cancel_requested
FROM tasks
WHERE workspace_id = $1 AND generation IS NOT NULL
ORDER BY place

-- name: unfinished
SELECT id
FROM tasks
WHERE workspace_id = $1 AND state IN ('submitted', 'working')
LIMIT $2

-- name: paused
SELECT id
FROM tasks
WHERE workspace_id = $1 AND state IN ('input-required', 'auth-required')
LIMIT $2

-- name: orphaned
-- Workspaces with tasks that nobody will end: held by a generation that was replaced, or sent to a removed one.
SELECT workspaces.id, workspaces.generation, workspaces.status = 'removed' AS removed
FROM workspaces
WHERE EXISTS (
        SELECT
        FROM tasks
        WHERE tasks.workspace_id = workspaces.id
            AND tasks.generation IS NOT NULL
            AND tasks.generation < workspaces.generation
    )
    OR (
        workspaces.status = 'removed'
        AND (
            EXISTS (
                SELECT
                FROM tasks
                WHERE tasks.workspace_id = workspaces.id AND tasks.state IN ('submitted', 'working')
            )
            OR EXISTS (
                SELECT
                FROM tasks
                WHERE tasks.workspace_id = workspaces.id AND tasks.state IN ('input-required', 'auth-required')
            )
        )
    )
LIMIT $1

-- name: queued
-- How many of each priority wait in each mailbox.
SELECT workspace_id, priority, count(*) AS queued
FROM tasks
WHERE state = 'submitted' AND generation IS NULL
GROUP BY workspace_id, priority

-- name: position
-- 1 for the one that goes next; NULL when it does not wait.
SELECT (
    SELECT count(*)
    FROM tasks AS ahead
    WHERE ahead.workspace_id = task.workspace_id
        AND ahead.state = 'submitted'
        AND ahead.generation IS NULL
        AND (ahead.priority, -ahead.place) >= (task.priority, -task.place)
) AS position
FROM tasks AS task
WHERE task.id = $1 AND task.state = 'submitted' AND task.generation IS NULL

-- name: get
SELECT id, workspace_id, context_id, priority, state, on_interrupt, attempt, generation, begun, returned, reply, interrupted,
    cancel_requested, reason, sender_kind, sender_id, sender_name, updates, streamed,
    text, parts, message, metadata, answer, answer_parts, created_at, updated_at, ended_at
FROM tasks
WHERE id = $1

-- name: add_updates
INSERT INTO task_updates (task_id, seq, at, kind, state, text, name, parts, message)
SELECT new.task_id, new.seq, new.at, new.kind, new.state, new.text, new.name, new.parts::jsonb, new.message::jsonb
FROM unnest(
    $1::uuid[], $2::integer[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[]
) AS new (task_id, seq, at, kind, state, text, name, parts, message)

-- name: tell
-- The same with the events of the transaction, as events.sql's `append` writes them: a round trip less.
WITH told AS (
    INSERT INTO task_updates (task_id, seq, at, kind, state, text, name, parts, message)
    SELECT new.task_id, new.seq, new.at, new.kind, new.state, new.text, new.name, new.parts::jsonb, new.message::jsonb
    FROM unnest(
        $1::uuid[], $2::integer[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::text[]
    ) AS new (task_id, seq, at, kind, state, text, name, parts, message)
),
locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock($15)
)
INSERT INTO events (at, type, workspace_id, payload, cause)
SELECT happened.at, happened.type, happened.workspace_id, happened.payload::jsonb, happened.cause
FROM locked
CROSS JOIN unnest($10::timestamptz[], $11::text[], $12::uuid[], $13::text[], $14::text[])
    WITH ORDINALITY AS happened (at, type, workspace_id, payload, cause, nth)
ORDER BY happened.nth
RETURNING seq

-- name: updates
SELECT seq, at, kind, state, text, name, parts
FROM task_updates
WHERE task_id = $1 AND seq > $2
ORDER BY seq
LIMIT $3

-- name: story
-- Artifacts, questions and replies of one task.
SELECT seq, at, kind, state, text, name, parts, message
FROM task_updates
WHERE task_id = $1 AND (kind IN ('artifact', 'reply') OR state IN ('input-required', 'auth-required'))
ORDER BY seq
LIMIT $2
