-- name: keep
-- Each key becomes the new task's, unless it is another one's that is not older than $7. Tells whose it is.
INSERT INTO idempotency_keys AS kept (sender, workspace_id, key, task_id, fingerprint, at)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::bytea[], $6::timestamptz[])
ON CONFLICT (sender, workspace_id, key) DO UPDATE
SET task_id = CASE WHEN kept.at < $7 THEN excluded.task_id ELSE kept.task_id END,
    fingerprint = CASE WHEN kept.at < $7 THEN excluded.fingerprint ELSE kept.fingerprint END,
    at = CASE WHEN kept.at < $7 THEN excluded.at ELSE kept.at END
RETURNING sender, workspace_id, key, task_id, fingerprint

-- name: find
SELECT task_id, fingerprint
FROM idempotency_keys
WHERE sender = $1 AND workspace_id = $2 AND key = $3 AND at >= $4

-- name: drop
DELETE FROM idempotency_keys
WHERE sender = $1 AND workspace_id = $2 AND key = $3

-- name: prune
DELETE FROM idempotency_keys
WHERE at < $1
