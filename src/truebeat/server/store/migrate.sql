-- name: lock
-- One run at a time; held until the connection closes.
SELECT pg_advisory_lock($1)

-- name: create_ledger
-- What was applied, and the checksum of what it was.
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: applied
SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version

-- name: record_up
INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)

-- name: record_down
DELETE FROM schema_migrations WHERE version = $1
