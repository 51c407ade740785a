-- name: try_lock
-- Held by the session: it ends with the connection, however that ends.
SELECT pg_try_advisory_lock($1)

-- name: still_there
SELECT 1

-- name: has_ledger
SELECT to_regclass('schema_migrations') IS NOT NULL
