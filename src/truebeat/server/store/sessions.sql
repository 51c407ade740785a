-- name: insert
-- Nothing if that hash is there already: a login code is good once.
INSERT INTO sessions (hash, token_id, created_at, expires_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING hash

-- name: token_of
-- The token behind a session that has not ended, with the earlier of both ends.
SELECT
    tokens.id, tokens.name, tokens.role, tokens.workspace_id, tokens.hash, tokens.created_at,
    least(tokens.expires_at, sessions.expires_at) AS expires_at,
    tokens.revoked_at, tokens.last_used_at, tokens.replaced_by, tokens.lineage
FROM sessions
JOIN tokens ON tokens.id = sessions.token_id
WHERE sessions.hash = $1

-- name: remove
DELETE FROM sessions WHERE hash = $1

-- name: prune
DELETE FROM sessions WHERE expires_at < $1
