-- name: insert
INSERT INTO tokens (
    id, name, role, workspace_id, hash, created_at, expires_at, revoked_at, last_used_at, lineage, replaced_by
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: by_hash
SELECT id, name, role, workspace_id, hash, created_at, expires_at, revoked_at, last_used_at, replaced_by, lineage
FROM tokens
WHERE hash = $1

-- name: get
SELECT id, name, role, workspace_id, hash, created_at, expires_at, revoked_at, last_used_at, replaced_by, lineage
FROM tokens
WHERE id = $1

-- name: listing
SELECT id, name, role, workspace_id, hash, created_at, expires_at, revoked_at, last_used_at, replaced_by, lineage
FROM tokens
ORDER BY created_at, id

-- name: revoke
UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING id

-- name: revoke_workspace
UPDATE tokens SET revoked_at = $2 WHERE workspace_id = $1 AND revoked_at IS NULL RETURNING id

-- name: touch
-- The latest use wins, whichever server writes last; locked in the order of ids against deadlocks.
WITH used AS (
    SELECT tokens.id, latest.at
    FROM tokens
    JOIN (
        SELECT use.id, max(use.at) AS at
        FROM unnest($1::uuid[], $2::timestamptz[]) AS use (id, at)
        GROUP BY use.id
    ) AS latest ON latest.id = tokens.id
    ORDER BY tokens.id
    FOR UPDATE OF tokens
)
UPDATE tokens
SET last_used_at = greatest(tokens.last_used_at, used.at)
FROM used
WHERE tokens.id = used.id

-- name: replace
-- The new token and the old one's end in one statement; nothing if the old one is revoked or already replaced.
WITH old AS (
    UPDATE tokens
    SET replaced_by = $2, expires_at = least(expires_at, $1)
    WHERE id = $12 AND revoked_at IS NULL AND replaced_by IS NULL
    RETURNING id
)
INSERT INTO tokens (id, name, role, workspace_id, hash, created_at, expires_at, revoked_at, last_used_at, lineage)
SELECT $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
FROM old
RETURNING id

-- name: any_ever_for_workspace
SELECT EXISTS (SELECT FROM tokens WHERE workspace_id = $1)
