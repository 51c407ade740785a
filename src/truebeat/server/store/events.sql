-- name: append
-- The lock is held to the end of the transaction: whoever numbers events commits before the next one numbers any. It is
-- read below the sort and the numbers are drawn above it, so it is had before the first number.
WITH locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock($6)
)
INSERT INTO events (at, type, workspace_id, payload, cause)
SELECT new.at, new.type, new.workspace_id, new.payload::jsonb, new.cause
FROM locked
CROSS JOIN unnest($1::timestamptz[], $2::text[], $3::uuid[], $4::text[], $5::text[])
    WITH ORDINALITY AS new (at, type, workspace_id, payload, cause, place)
ORDER BY new.place
RETURNING seq

-- name: lock
SELECT pg_advisory_xact_lock($1)

-- name: since
SELECT seq, at, type, workspace_id, payload, cause
FROM events
WHERE seq > $1
ORDER BY seq
LIMIT $2

-- name: since_of_workspace
SELECT seq, at, type, workspace_id, payload, cause
FROM events
WHERE workspace_id = $3 AND seq > $1
ORDER BY seq
LIMIT $2

-- name: since_of_fleet
SELECT seq, at, type, workspace_id, payload, cause
FROM events
WHERE workspace_id IS NULL AND seq > $1
ORDER BY seq
LIMIT $2

-- name: before
SELECT seq, at, type, workspace_id, payload, cause
FROM events
WHERE seq < $1
ORDER BY seq DESC
LIMIT $2

-- name: before_of_workspace
SELECT seq, at, type, workspace_id, payload, cause
FROM events
WHERE workspace_id = $3 AND seq < $1
ORDER BY seq DESC
LIMIT $2

-- name: before_of_fleet
SELECT seq, at, type, workspace_id, payload, cause
FROM events
WHERE workspace_id IS NULL AND seq < $1
ORDER BY seq DESC
LIMIT $2

-- name: last_sign
SELECT greatest((SELECT at FROM events ORDER BY seq DESC LIMIT 1), (SELECT max(last_beat_at) FROM leases))

-- name: bounds
-- Everything from `first` to `last` is kept; 0, 0 while there never was an event.
SELECT
    CASE WHEN newest.seq = 0 THEN 0 ELSE through + 1 END AS first,
    newest.seq AS last
FROM events_pruned
CROSS JOIN LATERAL (SELECT greatest(through, (SELECT max(seq) FROM events)) AS seq) AS newest

-- name: prune
-- Cuts a prefix: up to the first event that is not older than $1, so that what remains has no hole.
WITH kept AS (
    SELECT (SELECT seq FROM events WHERE at >= $1 ORDER BY seq LIMIT 1) AS first
),
gone AS (
    DELETE FROM events
    USING kept
    WHERE events.seq < coalesce(kept.first, (SELECT max(seq) + 1 FROM events))
    RETURNING events.seq
),
marked AS (
    UPDATE events_pruned
    SET through = greatest(through, (SELECT max(seq) FROM gone))
    WHERE EXISTS (SELECT FROM gone)
)
SELECT count(*) FROM gone
