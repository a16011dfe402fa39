-- One table for all tokens that work once; requests for a link wait in the outbox; a session has a last use of its own;
-- wrong passwords are counted by account and place.

CREATE TABLE session_new (
    -- Never given again, as an account's.
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id     BLOB NOT NULL UNIQUE CHECK (length(public_id) = 16),
    account_id    INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    device_name   TEXT,
    -- How the account owner was authenticated (RFC 8176), separated by spaces.
    amr           TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    -- Its own last use, and from where: its sign-in, or a request that carried its cookie.
    last_used_at  INTEGER NOT NULL,
    ip            BLOB NOT NULL CHECK (length(ip) IN (4, 16)),
    user_agent_id INTEGER NOT NULL,
    -- The absolute end. It also ends when it was not used for the idle lifetime, which is a setting.
    expires_at    INTEGER NOT NULL,
    -- When and why it was ended before that. Never taken back.
    ended_at      INTEGER,
    end_reason    TEXT
) STRICT;
INSERT INTO sqlite_sequence (name, seq) SELECT 'session_new', seq FROM sqlite_sequence WHERE name = 'session';
INSERT INTO session_new (id, public_id, account_id, device_name, amr, created_at, last_used_at, ip, user_agent_id, expires_at, ended_at,
    end_reason)
SELECT s.id, s.public_id, s.account_id, s.device_name, 'pwd', s.created_at, coalesce(max(f.rotated_at), s.created_at),
    coalesce(f.ip, x'00000000'), coalesce(f.user_agent_id, 0), s.expires_at, s.ended_at, s.end_reason
FROM session s LEFT JOIN refresh_family f ON f.session_id = s.id
GROUP BY s.id;
DROP TABLE session;
ALTER TABLE session_new RENAME TO session;
CREATE INDEX session_of_account ON session (account_id);

DROP TABLE throttle;
CREATE TABLE throttle (
    subject     BLOB PRIMARY KEY CHECK (length(subject) = 16),
    -- When the allowance is whole again. Each attempt moves it; the row means nothing after it.
    restored_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX throttle_restored ON throttle (restored_at);

CREATE TABLE sign_in_counter (
    account_id   INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    -- A keyed digest of the network; empty for all other places.
    place        BLOB NOT NULL CHECK (length(place) IN (0, 16)),
    -- The latest sign-in from there; NULL for all other places.
    signed_in_at INTEGER,
    -- Wrong passwords without a day's break, and when the latest was.
    failures     INTEGER NOT NULL,
    failed_at    INTEGER,
    -- Until when even the right password is refused.
    locked_until INTEGER,
    PRIMARY KEY (account_id, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_of_nobody ON event (kind, id) WHERE account_id IS NULL;

-- Tokens take the ids of the links, which the outbox refers to.
CREATE TABLE one_time_token (
    id              INTEGER PRIMARY KEY,
    purpose         TEXT NOT NULL,
    -- The subject: one of the three.
    account_id      INTEGER REFERENCES account (id) ON DELETE CASCADE,
    registration_id INTEGER REFERENCES registration (id) ON DELETE CASCADE,
    invitation_id   INTEGER REFERENCES invitation (id) ON DELETE CASCADE,
    -- When it was asked for, and from where (4 or 16 bytes of address); the address is NULL for an operator.
    requested_at    INTEGER NOT NULL,
    ip              BLOB CHECK (length(ip) IN (4, 16)),
    user_agent      TEXT,
    -- NULL until the message that carries it is about to leave.
    digest          BLOB UNIQUE CHECK (length(digest) = 32),
    expires_at      INTEGER,
    -- When and why it ended before that: used, replaced, withdrawn, or the reason for which all were. Never taken back.
    ended_at        INTEGER,
    end_reason      TEXT,
    CHECK (coalesce(account_id, registration_id, invitation_id) IS NOT NULL)
) STRICT;
INSERT INTO one_time_token (id, purpose, account_id, requested_at, ip, user_agent, digest, expires_at, ended_at, end_reason)
SELECT id, purpose, account_id, requested_at, ip, user_agent, digest, expires_at, ended_at, end_reason FROM link;
INSERT INTO one_time_token (purpose, registration_id, requested_at, ip, user_agent, digest, expires_at)
SELECT 'registration', id, requested_at, ip, user_agent, digest, expires_at FROM registration;
INSERT INTO one_time_token (purpose, invitation_id, requested_at, digest, expires_at, ended_at, end_reason)
SELECT 'invitation', id, created_at, digest, expires_at, ended_at, end_reason FROM invitation;
CREATE INDEX token_of_account ON one_time_token (account_id, requested_at) WHERE account_id IS NOT NULL;
CREATE INDEX token_of_registration ON one_time_token (registration_id) WHERE registration_id IS NOT NULL;
CREATE INDEX token_of_invitation ON one_time_token (invitation_id) WHERE invitation_id IS NOT NULL;

CREATE TABLE outbox_new (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Its Message-ID, the same at each try; a new one if its link is a new one after a restart.
    public_id   BLOB NOT NULL CHECK (length(public_id) = 16),
    topic       TEXT NOT NULL,
    -- The address in its compared form, where a client asked for a link: the sender looks the account up.
    email_key   TEXT,
    -- The account that it is about; NULL before it was looked up, and for a person who has no account.
    account_id  INTEGER REFERENCES account (id) ON DELETE CASCADE,
    -- The address that it goes to, if not to the one that the account has when it leaves.
    email       TEXT,
    -- The token in its link, if it carries one.
    token_id    INTEGER REFERENCES one_time_token (id) ON DELETE CASCADE,
    -- The client that caused it; the address is NULL for an operator.
    ip          BLOB CHECK (length(ip) IN (4, 16)),
    user_agent  TEXT,
    created_at  INTEGER NOT NULL,
    -- How often it was tried, and when it is tried next.
    attempts    INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    CHECK (coalesce(email_key, email) IS NOT NULL OR account_id IS NOT NULL)
) STRICT;
INSERT INTO sqlite_sequence (name, seq) SELECT 'outbox_new', seq FROM sqlite_sequence WHERE name = 'outbox';
INSERT INTO outbox_new (id, public_id, topic, account_id, email, token_id, ip, created_at, attempts, due_at)
SELECT o.id, o.public_id, o.purpose, o.account_id, o.email,
    coalesce(o.link_id, (SELECT t.id FROM one_time_token t WHERE t.registration_id = o.registration_id),
        (SELECT t.id FROM one_time_token t WHERE t.invitation_id = o.invitation_id)),
    o.ip, o.created_at, o.attempts, o.due_at
FROM outbox o;
DROP TABLE outbox;
ALTER TABLE outbox_new RENAME TO outbox;
CREATE INDEX outbox_due ON outbox (due_at);
CREATE UNIQUE INDEX outbox_request ON outbox (email_key, topic) WHERE email_key IS NOT NULL;
CREATE INDEX outbox_of_account ON outbox (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX outbox_of_token ON outbox (token_id) WHERE token_id IS NOT NULL;
INSERT INTO outbox (public_id, topic, email_key, ip, user_agent, created_at, attempts, due_at)
SELECT randomblob(16), purpose, email_key, ip, user_agent, requested_at, 0, requested_at FROM wish
WHERE true ON CONFLICT (email_key, topic) WHERE email_key IS NOT NULL DO NOTHING;
DROP TABLE wish;
DROP TABLE link;

CREATE TABLE invitation_new (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id  BLOB NOT NULL UNIQUE CHECK (length(public_id) = 16),
    -- The address that the account must have; NULL for any.
    email      TEXT,
    email_key  TEXT,
    -- The group that the account is in from the start.
    group_id   INTEGER REFERENCES user_group (id) ON DELETE SET NULL,
    -- Whether it is mailed to that address: using it then proves the address.
    is_mailed  INTEGER NOT NULL CHECK (is_mailed IN (0, 1)),
    created_at INTEGER NOT NULL,
    -- The account that was made with it.
    account_id INTEGER REFERENCES account (id) ON DELETE SET NULL
) STRICT;
INSERT INTO sqlite_sequence (name, seq) SELECT 'invitation_new', seq FROM sqlite_sequence WHERE name = 'invitation';
INSERT INTO invitation_new (id, public_id, email, email_key, group_id, is_mailed, created_at, account_id)
SELECT id, public_id, email, email_key, group_id, is_mailed, created_at, account_id
FROM invitation;
DROP TABLE invitation;
ALTER TABLE invitation_new RENAME TO invitation;

CREATE TABLE registration_new (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    email         TEXT NOT NULL,
    email_key     TEXT NOT NULL,
    username      TEXT,
    name          TEXT,
    password_hash TEXT NOT NULL,
    -- The invitation, if there is one; it is used up when the account is made.
    invitation_id INTEGER REFERENCES invitation (id) ON DELETE CASCADE,
    requested_at  INTEGER NOT NULL
) STRICT;
INSERT INTO sqlite_sequence (name, seq) SELECT 'registration_new', seq FROM sqlite_sequence WHERE name = 'registration';
INSERT INTO registration_new (id, email, email_key, username, name, password_hash, invitation_id, requested_at)
SELECT id, email, email_key, username, name, password_hash, invitation_id, requested_at
FROM registration;
DROP TABLE registration;
ALTER TABLE registration_new RENAME TO registration;
CREATE INDEX registration_of_email ON registration (email_key, requested_at);
CREATE INDEX registration_of_invitation ON registration (invitation_id) WHERE invitation_id IS NOT NULL;
