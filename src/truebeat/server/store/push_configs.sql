-- name: put
-- A second one of the same id replaces the first. At most $9 of one task: beyond that nothing is written.
INSERT INTO push_configs (task_id, id, url, token, scheme, credentials, delivered, done, created_at)
SELECT $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::integer, false, $8::timestamptz
WHERE (SELECT count(*) FROM push_configs WHERE task_id = $1 AND id <> $2) < $9
ON CONFLICT (task_id, id) DO UPDATE SET
    url = excluded.url, token = excluded.token, scheme = excluded.scheme, credentials = excluded.credentials,
    delivered = excluded.delivered, done = false, created_at = excluded.created_at
RETURNING id

-- name: of_task
SELECT task_id, id, url, token, scheme, credentials, delivered
FROM push_configs
WHERE task_id = $1
ORDER BY created_at, id

-- name: under_way
SELECT task_id, id, url, token, scheme, credentials, delivered
FROM push_configs
WHERE NOT done
ORDER BY task_id, id
LIMIT $1

-- name: delete
DELETE FROM push_configs
WHERE task_id = $1 AND id = $2
RETURNING id

-- name: delivered
UPDATE push_configs
SET delivered = $3, done = $4
WHERE task_id = $1 AND id = $2

-- name: prune
DELETE FROM push_configs
WHERE done AND created_at < $1
