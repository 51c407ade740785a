-- Where the updates of a task are pushed to. No foreign key to tasks: its row locks would hold up their results.
CREATE TABLE push_configs (
    task_id uuid NOT NULL,
    id text NOT NULL,
    url text NOT NULL,
    token text NOT NULL,
    scheme text NOT NULL,
    credentials text NOT NULL,
    delivered integer NOT NULL,
    done boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (task_id, id)
);
CREATE INDEX push_configs_under_way ON push_configs (task_id, id) WHERE NOT done;
