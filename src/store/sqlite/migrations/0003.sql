-- Proof of addresses: verification, registrations that wait for it, changes of address confirmed at both. Groups,
-- invitations, and the scope of what a family's access tokens say.

ALTER TABLE account ADD COLUMN email_verified_at INTEGER;
ALTER TABLE refresh_family ADD COLUMN scope TEXT;

-- A new address that waits to be confirmed, at the present one and at itself.
CREATE TABLE email_change (
    account_id           INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    email                TEXT NOT NULL,
    email_key            TEXT NOT NULL,
    requested_at         INTEGER NOT NULL,
    present_confirmed_at INTEGER,
    new_confirmed_at     INTEGER
) STRICT;

-- What accounts have in common, for apps to read.
CREATE TABLE user_group (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE membership (
    account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    group_id   INTEGER NOT NULL REFERENCES user_group (id) ON DELETE CASCADE,
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_of_group ON membership (group_id);

-- Registrations whose address was not proven yet: the account is made when the link is followed. Until then nobody
-- holds an address at which they do not read mail, nor a name. Each carries the password that was chosen with it.
CREATE TABLE registration (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    email         TEXT NOT NULL,
    email_key     TEXT NOT NULL,
    username      TEXT,
    name          TEXT,
    password_hash TEXT NOT NULL,
    -- With which invitation, if with one; it is used up when the account is made.
    invitation_id INTEGER REFERENCES invitation (id) ON DELETE CASCADE,
    requested_at  INTEGER NOT NULL,
    ip            BLOB NOT NULL CHECK (length(ip) IN (4, 16)),
    user_agent    TEXT NOT NULL,
    -- As a link's.
    digest        BLOB UNIQUE CHECK (length(digest) = 32),
    expires_at    INTEGER
) STRICT;
CREATE INDEX registration_of_email ON registration (email_key, requested_at);

-- Invitations: who holds one may make an account, once.
CREATE TABLE invitation (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id  BLOB NOT NULL UNIQUE CHECK (length(public_id) = 16),
    -- For whom; NULL for whoever holds it.
    email      TEXT,
    email_key  TEXT,
    -- The group that the account is in from the start.
    group_id   INTEGER REFERENCES user_group (id) ON DELETE SET NULL,
    -- Whether a letter carries it: whoever holds it reads mail at that address then.
    is_mailed  INTEGER NOT NULL CHECK (is_mailed IN (0, 1)),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- NULL until its letter leaves.
    digest     BLOB UNIQUE CHECK (length(digest) = 32),
    -- When it was used or withdrawn; which of the two, and by whom it was used. Never taken back.
    ended_at   INTEGER,
    end_reason TEXT,
    account_id INTEGER REFERENCES account (id) ON DELETE SET NULL
) STRICT;

-- A letter may concern somebody who has no account yet. Those that wait are kept.
CREATE TEMP TABLE waiting AS SELECT * FROM outbox;
DROP TABLE outbox;
-- Letters that have not left yet: for whom and what about. What stands in one is written when it leaves.
CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Its Message-ID, the same at each try.
    public_id       BLOB NOT NULL CHECK (length(public_id) = 16),
    -- Whom it concerns; NULL for somebody who has no account yet.
    account_id      INTEGER REFERENCES account (id) ON DELETE CASCADE,
    -- Where it goes, if not to the address that the account has when it leaves.
    email           TEXT,
    purpose         TEXT NOT NULL,
    -- What its link is for, if it carries one.
    link_id         INTEGER REFERENCES link (id) ON DELETE CASCADE,
    registration_id INTEGER REFERENCES registration (id) ON DELETE CASCADE,
    invitation_id   INTEGER REFERENCES invitation (id) ON DELETE CASCADE,
    -- From where what it tells of was done; NULL for an operator.
    ip              BLOB CHECK (length(ip) IN (4, 16)),
    created_at      INTEGER NOT NULL,
    -- How often it was tried, and when it is tried next.
    attempts        INTEGER NOT NULL,
    due_at          INTEGER NOT NULL,
    CHECK (account_id IS NOT NULL OR email IS NOT NULL)
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at);
INSERT INTO outbox (id, public_id, account_id, purpose, link_id, ip, created_at, attempts, due_at)
SELECT id, public_id, account_id, purpose, link_id, ip, created_at, attempts, due_at FROM temp.waiting;
DROP TABLE temp.waiting;
