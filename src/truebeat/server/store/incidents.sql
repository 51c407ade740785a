-- name: open
-- An incident that is already open stays the one: nothing is written over it. Reports that waited and are at most $13
-- seconds older than their incident become its own; NULL: none does.
WITH opened AS (
    INSERT INTO incidents (
        id, workspace_id, opened_at, closed_at, symptom, witness, detail, worst, generation, recovery, evidence, timeline
    )
    SELECT
        new.id, new.workspace_id, new.opened_at, new.closed_at, new.symptom, new.witness, new.detail,
        new.worst::workspace_status, new.generation, new.recovery, new.evidence::jsonb, new.timeline::jsonb
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::bigint[], $10::text[], $11::text[], $12::text[]
    ) AS new (
        id, workspace_id, opened_at, closed_at, symptom, witness, detail, worst, generation, recovery, evidence, timeline
    )
    ORDER BY new.id
    ON CONFLICT DO NOTHING
    RETURNING id, workspace_id, opened_at
)
UPDATE incident_reports
SET incident_id = opened.id
FROM opened
WHERE incident_reports.workspace_id = opened.workspace_id
    AND incident_reports.incident_id IS NULL
    AND incident_reports.at >= opened.opened_at - make_interval(secs => $13::double precision)

-- name: proceed
-- Steps beyond the bound ($6) are counted, not kept; the closing ones always are.
UPDATE incidents
SET
    worst = change.worst::workspace_status,
    closed_at = change.closed_at,
    recovery = change.recovery,
    timeline = CASE
        WHEN jsonb_array_length(incidents.timeline) < $6 OR change.closed_at IS NOT NULL
            THEN incidents.timeline || change.steps::jsonb
        ELSE incidents.timeline
    END,
    left_out = CASE
        WHEN jsonb_array_length(incidents.timeline) < $6 OR change.closed_at IS NOT NULL THEN incidents.left_out
        ELSE incidents.left_out + jsonb_array_length(change.steps::jsonb)
    END
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::text[])
    AS change (id, worst, closed_at, recovery, steps)
WHERE incidents.id = change.id AND incidents.closed_at IS NULL

-- name: attach
-- To the incident that it happened in, or nearest: one that opened at most $12 seconds later, or closed at most $14
-- seconds before. Without one it waits. At most $13 of each.
WITH target AS (
    SELECT (
        SELECT near.id
        FROM (
            SELECT id, opened_at, closed_at
            FROM incidents
            WHERE workspace_id = $1
                AND opened_at <= $4::timestamptz + make_interval(secs => $12)
                AND (closed_at IS NULL OR closed_at >= $4::timestamptz - make_interval(secs => $14))
            ORDER BY opened_at DESC, id DESC
            LIMIT 10
        ) AS near
        ORDER BY
            greatest(near.opened_at - $4, $4 - coalesce(near.closed_at, $4), interval '0'), near.opened_at DESC
        LIMIT 1
    ) AS id
),
held AS (
    SELECT CASE
        WHEN target.id IS NULL
            THEN (SELECT count(*) FROM incident_reports WHERE workspace_id = $1 AND incident_id IS NULL)
        ELSE (SELECT count(*) FROM incident_reports WHERE incident_id = target.id)
    END AS reports
    FROM target
)
INSERT INTO incident_reports (
    workspace_id, boot, n, at, generation, kind, detail, action, stack, stderr_tail, facts, incident_id
)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, target.id
FROM target
CROSS JOIN held
WHERE held.reports < $13
ON CONFLICT DO NOTHING
RETURNING incident_id

-- name: has_report
SELECT EXISTS (SELECT FROM incident_reports WHERE workspace_id = $1 AND boot = $2 AND n = $3)

-- name: count_left_out
UPDATE incidents SET left_out = left_out + 1
WHERE workspace_id = $1 AND closed_at IS NULL

-- name: repaired
-- A report of a repair in place came after the incident had closed.
UPDATE incidents SET recovery = $3
WHERE id = $1 AND closed_at IS NOT NULL AND recovery = $2

-- name: get
SELECT incidents.*, workspaces.name
FROM incidents
JOIN workspaces ON workspaces.id = incidents.workspace_id
WHERE incidents.id = $1

-- name: reports
SELECT workspace_id, boot, n, at, generation, kind, detail, action, stack, stderr_tail, facts
FROM incident_reports
WHERE incident_id = $1
ORDER BY at, boot, n

-- name: page
-- Newest first; the page after ($1, $2). Open ones only, closed ones only, or all ($4).
SELECT
    incidents.id, workspace_id, opened_at, closed_at, symptom, witness, detail, worst, incidents.generation, recovery,
    workspaces.name
FROM incidents
JOIN workspaces ON workspaces.id = incidents.workspace_id
WHERE ($1::timestamptz IS NULL OR (opened_at, incidents.id) < ($1::timestamptz, $2::uuid))
    AND ($4::boolean IS NULL OR (closed_at IS NULL) = $4::boolean)
ORDER BY opened_at DESC, incidents.id DESC
LIMIT $3

-- name: page_of_workspace
SELECT
    incidents.id, workspace_id, opened_at, closed_at, symptom, witness, detail, worst, incidents.generation, recovery,
    workspaces.name
FROM incidents
JOIN workspaces ON workspaces.id = incidents.workspace_id
WHERE workspace_id = $5
    AND ($1::timestamptz IS NULL OR (opened_at, incidents.id) < ($1::timestamptz, $2::uuid))
    AND ($4::boolean IS NULL OR (closed_at IS NULL) = $4::boolean)
ORDER BY opened_at DESC, incidents.id DESC
LIMIT $3

-- name: still_open
-- What a starting server goes on with; of the workspaces $2, or of all.
SELECT
    id, workspace_id, opened_at, symptom, witness, detail, worst, generation, timeline,
    EXISTS (
        SELECT FROM incident_reports WHERE incident_id = incidents.id AND kind = $1
    ) AS repaired
FROM incidents
WHERE closed_at IS NULL AND ($2::uuid[] IS NULL OR workspace_id = any($2))

-- name: loose
-- Reports that no incident opened for: older than $1, at most $2.
SELECT workspace_id, boot, n, at, incident_reports.generation, kind, detail, workspaces.name
FROM incident_reports
JOIN workspaces ON workspaces.id = incident_reports.workspace_id
WHERE incident_id IS NULL AND at < $1
ORDER BY workspace_id, at
LIMIT $2

-- name: give
UPDATE incident_reports SET incident_id = $2
WHERE workspace_id = $1 AND incident_id IS NULL AND at < $3

-- name: drop_loose
DELETE FROM incident_reports
WHERE workspace_id = $1 AND incident_id IS NULL AND at < $2

-- name: prune
-- Closed before $1; their reports go with them.
WITH gone AS (
    DELETE FROM incidents WHERE closed_at < $1 RETURNING id
)
SELECT count(*) FROM gone
