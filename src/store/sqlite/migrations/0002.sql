-- Mail: one-time links, and the letters that wait to leave.

-- One-time links: who asked for one, when and from where. The link itself stands in the letter and nowhere else.
CREATE TABLE link (
    id           INTEGER PRIMARY KEY,
    account_id   INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    purpose      TEXT NOT NULL,
    requested_at INTEGER NOT NULL,
    -- Who asked (4 or 16 bytes of address); NULL for an operator.
    ip           BLOB CHECK (length(ip) IN (4, 16)),
    user_agent   TEXT,
    -- The digest of the link's secret, which is drawn when the letter is about to leave; until then there is no link.
    digest       BLOB UNIQUE CHECK (length(digest) = 32),
    expires_at   INTEGER,
    -- When it was used, or became void; and which of the two. Never taken back.
    ended_at     INTEGER,
    end_reason   TEXT
) STRICT;
CREATE INDEX link_of_account ON link (account_id, requested_at);

-- Letters that have not left yet: for whom and what about. What stands in one is written when it leaves.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Its Message-ID, the same at each try.
    public_id  BLOB NOT NULL CHECK (length(public_id) = 16),
    account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    purpose    TEXT NOT NULL,
    -- The link that it carries, if it carries one.
    link_id    INTEGER REFERENCES link (id) ON DELETE CASCADE,
    -- From where what it tells of was done; NULL for an operator.
    ip         BLOB CHECK (length(ip) IN (4, 16)),
    created_at INTEGER NOT NULL,
    -- How often it was tried, and when it is tried next.
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at);
