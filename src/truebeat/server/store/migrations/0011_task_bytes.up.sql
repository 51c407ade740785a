-- How large a task is in a list, so that a page of large ones can be cut before they are read. Of those that there are
-- the small ones are not counted.
SET LOCAL lock_timeout = '5s';

ALTER TABLE tasks ADD COLUMN bytes bigint NOT NULL DEFAULT 0;
UPDATE tasks
SET bytes = octet_length(text) + octet_length(parts::text) + coalesce(octet_length(message::text), 0)
    + octet_length(metadata::text) + octet_length(answer) + octet_length(answer_parts::text)
WHERE octet_length(text) + octet_length(answer) + pg_column_size(parts) + coalesce(pg_column_size(message), 0)
    + pg_column_size(metadata) + pg_column_size(answer_parts) > 2000;
ALTER TABLE tasks ALTER COLUMN bytes DROP DEFAULT;
