-- Sessions that a browser holds by a cookie.
CREATE TABLE browser_session (
    session_id       INTEGER PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    digest           BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    kept             INTEGER NOT NULL CHECK (kept IN (0, 1)),
    authenticated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE step_up (
    session_id INTEGER NOT NULL REFERENCES browser_session (session_id) ON DELETE CASCADE,
    purpose    TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (session_id, purpose)
) STRICT, WITHOUT ROWID;
-- For the administration: search by name, lists of accounts by their state, and why a message has not left.
ALTER TABLE account ADD COLUMN name_key TEXT;
-- SQLite's lower() folds ASCII alone. A name with other capitals gets its full form when it is changed.
UPDATE account SET name_key = lower(name) WHERE name IS NOT NULL;
CREATE INDEX account_name ON account (name_key, id) WHERE name_key IS NOT NULL;
CREATE INDEX account_administrator ON account (id) WHERE admin = 1;
CREATE INDEX account_disabled ON account (id) WHERE disabled_at IS NOT NULL;
CREATE INDEX account_unverified ON account (id) WHERE email_verified_at IS NULL;
CREATE INDEX counter_locked ON sign_in_counter (locked_until) WHERE locked_until IS NOT NULL;
ALTER TABLE outbox ADD COLUMN failure TEXT;
ALTER TABLE outbox ADD COLUMN failed_at INTEGER;
