SET LOCAL lock_timeout = '5s';

ALTER TABLE workspaces
    ALTER COLUMN status DROP DEFAULT,
    ALTER COLUMN status TYPE text USING status::text,
    ALTER COLUMN status SET DEFAULT 'provisioning';

DROP TYPE workspace_status;
