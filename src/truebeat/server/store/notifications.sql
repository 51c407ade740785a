-- name: insert
INSERT INTO notifications (id, workspace_id, delegation_id, at, type, message, link)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])

-- name: page
-- Cut before names are looked up: who joins first reads the whole table.
WITH found AS MATERIALIZED (
    SELECT *
    FROM notifications
    WHERE (NOT $1::boolean OR read_at IS NULL) AND (at, id) < ($2, $3)
    ORDER BY at DESC, id DESC
    LIMIT $4
)
SELECT found.*, workspaces.name AS workspace_name
FROM found
JOIN workspaces ON workspaces.id = found.workspace_id
ORDER BY found.at DESC, found.id DESC

-- name: count_unread
SELECT count(*)
FROM notifications
WHERE read_at IS NULL

-- name: read
-- The first reader's time stays.
UPDATE notifications
SET read_at = coalesce(notifications.read_at, $2)
FROM workspaces
WHERE notifications.id = $1 AND workspaces.id = notifications.workspace_id
RETURNING notifications.*, workspaces.name AS workspace_name

-- name: place
SELECT at, id
FROM notifications
WHERE id = $1

-- name: read_through
-- All that are not newer than ($2, $3). Locked in their order, so that two readers never wait for each other.
WITH unread AS (
    SELECT id
    FROM notifications
    WHERE read_at IS NULL AND (at, id) <= ($2, $3)
    ORDER BY at, id
    FOR UPDATE
),
fresh AS (
    UPDATE notifications
    SET read_at = $1
    FROM unread
    WHERE notifications.id = unread.id
    RETURNING notifications.id
)
SELECT count(*)
FROM fresh

-- name: prune
-- One step: of those older than $1 the oldest, $2 at most; how many.
WITH old AS (
    SELECT id
    FROM notifications
    WHERE at < $1
    ORDER BY at, id
    LIMIT $2
    FOR UPDATE
),
gone AS (
    DELETE FROM notifications
    USING old
    WHERE notifications.id = old.id
    RETURNING notifications.id
)
SELECT count(*)
FROM gone

-- name: newest_beyond
-- The time of the newest one that has $1 newer ones.
SELECT at
FROM notifications
ORDER BY at DESC, id DESC
OFFSET $1
LIMIT 1
