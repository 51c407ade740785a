-- name: page_of_all
-- Of each state the newest: one look into an index for each, however many there are of another. Of a page (`found` tasks)
-- only as many are read as have less than $6 bytes before them.
SELECT id, workspace_id, context_id, priority, state, on_interrupt, attempt, generation, begun, returned, reply, interrupted,
    cancel_requested, reason, sender_kind, sender_id, sender_name, updates, streamed,
    text, parts, message, metadata, answer, answer_parts, created_at, updated_at, ended_at, found
FROM (
    SELECT
        page.*, count(*) OVER () AS found,
        sum(page.bytes) OVER (ORDER BY page.updated_at DESC, page.id DESC) - page.bytes AS before
    FROM (
        SELECT task.*
        FROM unnest($1::text[]) AS wanted (state)
        CROSS JOIN LATERAL (
            SELECT *
            FROM tasks
            WHERE tasks.state = wanted.state AND tasks.updated_at > $2 AND (tasks.updated_at, tasks.id) < ($3, $4)
            ORDER BY tasks.updated_at DESC, tasks.id DESC
            LIMIT $5
        ) AS task
        ORDER BY task.updated_at DESC, task.id DESC
        LIMIT $5
    ) AS page
) AS weighed
WHERE before < $6::bigint
ORDER BY updated_at DESC, id DESC

-- name: page_of_workspace
SELECT id, workspace_id, context_id, priority, state, on_interrupt, attempt, generation, begun, returned, reply, interrupted,
    cancel_requested, reason, sender_kind, sender_id, sender_name, updates, streamed,
    text, parts, message, metadata, answer, answer_parts, created_at, updated_at, ended_at, found
FROM (
    SELECT
        page.*, count(*) OVER () AS found,
        sum(page.bytes) OVER (ORDER BY page.updated_at DESC, page.id DESC) - page.bytes AS before
    FROM (
        SELECT *
        FROM tasks
        WHERE workspace_id = $7 AND state = ANY($1::text[]) AND updated_at > $2 AND (updated_at, id) < ($3, $4)
        ORDER BY updated_at DESC, id DESC
        LIMIT $5
    ) AS page
) AS weighed
WHERE before < $6::bigint
ORDER BY updated_at DESC, id DESC

-- name: page_of_context
-- Of one workspace ($8), or of any.
SELECT id, workspace_id, context_id, priority, state, on_interrupt, attempt, generation, begun, returned, reply, interrupted,
    cancel_requested, reason, sender_kind, sender_id, sender_name, updates, streamed,
    text, parts, message, metadata, answer, answer_parts, created_at, updated_at, ended_at, found
FROM (
    SELECT
        page.*, count(*) OVER () AS found,
        sum(page.bytes) OVER (ORDER BY page.updated_at DESC, page.id DESC) - page.bytes AS before
    FROM (
        SELECT *
        FROM tasks
        WHERE context_id = $7 AND ($8::uuid IS NULL OR workspace_id = $8)
            AND state = ANY($1::text[]) AND updated_at > $2 AND (updated_at, id) < ($3, $4)
        ORDER BY updated_at DESC, id DESC
        LIMIT $5
    ) AS page
) AS weighed
WHERE before < $6::bigint
ORDER BY updated_at DESC, id DESC

-- name: page_of_sender
-- What a workspace ($7) sent; to one workspace ($8), or to any.
SELECT id, workspace_id, context_id, priority, state, on_interrupt, attempt, generation, begun, returned, reply, interrupted,
    cancel_requested, reason, sender_kind, sender_id, sender_name, updates, streamed,
    text, parts, message, metadata, answer, answer_parts, created_at, updated_at, ended_at, found
FROM (
    SELECT
        page.*, count(*) OVER () AS found,
        sum(page.bytes) OVER (ORDER BY page.updated_at DESC, page.id DESC) - page.bytes AS before
    FROM (
        SELECT *
        FROM tasks
        WHERE sender_kind = 'workspace' AND sender_id = $7 AND ($8::uuid IS NULL OR workspace_id = $8)
            AND ($9::text IS NULL OR context_id = $9)
            AND state = ANY($1::text[]) AND updated_at > $2 AND (updated_at, id) < ($3, $4)
        ORDER BY updated_at DESC, id DESC
        LIMIT $5
    ) AS page
) AS weighed
WHERE before < $6::bigint
ORDER BY updated_at DESC, id DESC

-- name: count_of_all
SELECT count(*)
FROM (
    SELECT
    FROM unnest($1::text[]) AS wanted (state)
    CROSS JOIN LATERAL (
        SELECT
        FROM tasks
        WHERE tasks.state = wanted.state AND tasks.updated_at > $2
        ORDER BY tasks.updated_at DESC, tasks.id DESC -- the index's order, so that it is read and not the table
        LIMIT $3
    ) AS task
    LIMIT $3
) AS counted

-- name: count_of_workspace
SELECT count(*)
FROM (
    SELECT FROM tasks WHERE workspace_id = $4 AND state = ANY($1::text[]) AND updated_at > $2 LIMIT $3
) AS counted

-- name: count_of_context
SELECT count(*)
FROM (
    SELECT
    FROM tasks
    WHERE context_id = $4 AND ($5::uuid IS NULL OR workspace_id = $5) AND state = ANY($1::text[]) AND updated_at > $2
    LIMIT $3
) AS counted

-- name: count_of_sender
SELECT count(*)
FROM (
    SELECT
    FROM tasks
    WHERE sender_kind = 'workspace' AND sender_id = $4 AND ($5::uuid IS NULL OR workspace_id = $5)
        AND ($6::text IS NULL OR context_id = $6)
        AND state = ANY($1::text[]) AND updated_at > $2
    LIMIT $3
) AS counted
