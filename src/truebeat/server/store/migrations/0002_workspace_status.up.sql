-- workspaces.status becomes an ENUM: a status that nobody judged can't be written any more.
-- The table is rewritten under an exclusive lock; whoever holds it longer than this makes us give up, not queue.

SET LOCAL lock_timeout = '5s';
LOCK TABLE workspaces IN ACCESS EXCLUSIVE MODE;

DO $$
DECLARE
    strays text;
BEGIN
    SELECT string_agg(format('%L in %s row(s)', status, rows), ', ' ORDER BY status)
    INTO strays
    FROM (
        SELECT status, count(*) AS rows
        FROM workspaces
        WHERE status NOT IN ('provisioning', 'online', 'offline', 'degraded', 'failed', 'removed')
        GROUP BY status
    ) AS stray;
    IF strays IS NOT NULL THEN
        RAISE EXCEPTION 'workspaces.status holds what is no status: %', strays
            USING HINT = 'set these rows to provisioning, online, offline, degraded, failed or removed, then migrate again';
    END IF;
END
$$;

CREATE TYPE workspace_status AS ENUM ('provisioning', 'online', 'offline', 'degraded', 'failed', 'removed');

ALTER TABLE workspaces
    ALTER COLUMN status DROP DEFAULT,
    ALTER COLUMN status TYPE workspace_status USING status::workspace_status,
    ALTER COLUMN status SET DEFAULT 'provisioning';
