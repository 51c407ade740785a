-- A cancel, and whoever looks at a trace, ask which turns a task woke; without this every wake there ever was is read.
SET LOCAL lock_timeout = '5s';

CREATE INDEX wakes_by_origin ON wakes (origin_task_id);
