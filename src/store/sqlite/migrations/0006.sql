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
