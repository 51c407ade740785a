-- name: insert
INSERT INTO workspaces (
    id, name, role, parent_id, url, agent_card, created_at, registered_at,
    status, conditions, generation, awaiting_above, version
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::workspace_status, $10, $11, $12, $13)

-- name: get
SELECT id, name, role, parent_id, url, agent_card, created_at, registered_at, conditions, generation, awaiting_above, version
FROM workspaces
WHERE id = $1

-- name: hold
-- Until the caller's transaction ends nobody removes it. Not for those who write it next: two of them would deadlock.
SELECT id, name, role, parent_id, url, agent_card, created_at, registered_at, conditions, generation, awaiting_above, version
FROM workspaces
WHERE id = $1
FOR SHARE

-- name: page
-- By name, then id; the page after ($1, $2). Status $4 or any; removed ones only if asked for ($5).
SELECT id, name, role, parent_id, url, agent_card, created_at, registered_at, conditions, generation, awaiting_above, version
FROM workspaces
WHERE ($1::text IS NULL OR (name, id) > ($1::text, $2::uuid))
    AND ($4::text IS NULL OR status = $4::text::workspace_status)
    AND ($5::boolean OR status <> 'removed')
ORDER BY name, id
LIMIT $3

-- name: live
-- All that are not removed: what a starting server watches.
SELECT id, name, role, parent_id, url, agent_card, created_at, registered_at, conditions, generation, awaiting_above, version
FROM workspaces
WHERE status <> 'removed'
ORDER BY name, id

-- name: save_records
-- Compare-and-set: a row is written only if its version is still the expected one, so of several writers one wins.
-- Rows are locked in the order of their ids, so that two batches can't deadlock.
WITH changes AS (
    SELECT *
    FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
        AS change (id, expected, status, conditions, generation, awaiting_above)
),
won AS (
    SELECT changes.*
    FROM workspaces
    JOIN changes ON changes.id = workspaces.id AND changes.expected = workspaces.version
    ORDER BY workspaces.id
    FOR UPDATE OF workspaces
)
UPDATE workspaces
SET status = won.status::workspace_status,
    conditions = won.conditions::jsonb,
    generation = won.generation,
    awaiting_above = won.awaiting_above,
    version = workspaces.version + 1
FROM won
WHERE workspaces.id = won.id AND workspaces.version = won.expected
RETURNING workspaces.id

-- name: register_first
-- Only the first registration finds the row; what is not told stays as it is. Whoever is told the id holds the row's
-- lock: it is not removed until their transaction ends.
UPDATE workspaces
SET url = coalesce($2, url), agent_card = coalesce($3, agent_card), registered_at = $4
WHERE id = $1 AND registered_at IS NULL AND status <> 'removed'
RETURNING id

-- name: register_again
UPDATE workspaces
SET url = coalesce($2, url), agent_card = coalesce($3, agent_card)
WHERE id = $1 AND status <> 'removed'
RETURNING id
