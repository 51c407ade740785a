-- Logins of the canvas. A session is as good as the token it was opened with, and no longer.

CREATE TABLE sessions (
    hash bytea PRIMARY KEY,
    token_id uuid NOT NULL REFERENCES tokens (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT sessions_hash_is_sha256 CHECK (octet_length(hash) = 32)
);
CREATE INDEX sessions_by_end ON sessions (expires_at);
