-- authd's database as it is today. A new file is built from this text; an older one reaches the same state by the
-- migrations in src/store/migrations, and a test compares the two.
--
-- Conventions: `…_at` is an instant in whole seconds since the Unix epoch. Rows are joined by integer keys; names
-- that the world sees are UUIDs of 16 bytes (`public_id`). No column holds a token: only digests, seals and keys.

-- What this server is. One row, made together with its first keys.
CREATE TABLE server (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    -- Raised by a restore: whatever was issued in an older epoch is dead.
    epoch           INTEGER NOT NULL,
    -- Tags refresh tokens, so that an old genuine one is told from garbage without a row for each.
    tag_key         BLOB NOT NULL CHECK (length(tag_key) = 32),
    -- The digest of the open set-up link, while there is no administrator.
    setup_digest    BLOB CHECK (length(setup_digest) = 32),
    -- The clock's mark: the latest instant that was used, and the latest that is believed.
    clock_latest    INTEGER NOT NULL,
    clock_confirmed INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE account (
    id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id            BLOB NOT NULL UNIQUE CHECK (length(public_id) = 16),
    -- As the owner typed it; `…_key` is the form that is compared: folded to lower case and normalised.
    email                TEXT NOT NULL,
    email_key            TEXT NOT NULL UNIQUE,
    username             TEXT,
    username_key         TEXT UNIQUE,
    -- What people call its owner.
    name                 TEXT,
    admin                INTEGER NOT NULL CHECK (admin IN (0, 1)),
    -- A PHC string (Argon2id); NULL for an account that has no password yet.
    password_hash        TEXT,
    -- Set by an operator, to be changed at the next sign-in.
    password_temporary   INTEGER NOT NULL CHECK (password_temporary IN (0, 1)),
    disabled_at          INTEGER,
    created_at           INTEGER NOT NULL
) STRICT;

-- Who asks for tokens. authd itself is one: the built-in public client of first-party sessions.
CREATE TABLE client (
    id            INTEGER PRIMARY KEY,
    client_id     TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    -- How long a used refresh token may be presented again for the same successor, in seconds; NULL: as configured.
    replay_window INTEGER CHECK (replay_window BETWEEN 0 AND 86400),
    created_at    INTEGER NOT NULL
) STRICT;

-- What devices call themselves, each text once. The key is computed from the text.
CREATE TABLE user_agent (
    id      INTEGER PRIMARY KEY,
    text    TEXT NOT NULL,
    -- The day's first use; a text that nobody used for longer than a session lives is swept.
    seen_at INTEGER NOT NULL
) STRICT;

-- One sign-in on one device. A rotation does not write here.
CREATE TABLE session (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id     BLOB NOT NULL UNIQUE CHECK (length(public_id) = 16),
    account_id    INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    device_name   TEXT,
    created_at    INTEGER NOT NULL,
    -- The absolute end; the idle one follows from the family's last rotation.
    expires_at    INTEGER NOT NULL,
    -- When and why it was ended before that. Never taken back.
    ended_at      INTEGER,
    end_reason    TEXT
) STRICT;
CREATE INDEX session_of_account ON session (account_id);

-- All successive refresh tokens of one session and one client: one row, updated in place. Its blobs have their
-- full size from the start, so that a rotation changes no row's length by more than a byte or two.
CREATE TABLE refresh_family (
    id                  INTEGER PRIMARY KEY,
    public_id           BLOB NOT NULL UNIQUE CHECK (length(public_id) = 16),
    session_id          INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    client_id           INTEGER NOT NULL REFERENCES client (id) ON DELETE CASCADE,
    epoch               INTEGER NOT NULL,
    -- The number of the one live token, from 1, and the digest of its secret.
    generation          INTEGER NOT NULL CHECK (generation BETWEEN 1 AND 4294967295),
    digest              BLOB NOT NULL CHECK (length(digest) = 32),
    -- The live secret, closed for the holder of its predecessor; and with which key.
    seal                BLOB NOT NULL CHECK (length(seal) = 48),
    seal_key_id         INTEGER NOT NULL,
    rotated_at          INTEGER NOT NULL,
    -- How often the predecessor was presented again.
    replays             INTEGER NOT NULL,
    -- Who rotated (4 or 16 bytes of address), to tell a device from a stranger.
    ip                  BLOB NOT NULL CHECK (length(ip) IN (4, 16)),
    user_agent_id       INTEGER NOT NULL,
    -- The digest of the Idempotency-Key of the last rotation.
    retry_digest        BLOB CHECK (length(retry_digest) = 32),
    -- In how many successive generations a stranger replayed, and the last of them.
    lockstep            INTEGER NOT NULL,
    lockstep_generation INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    -- Kept after use: reuse detection needs it until the family ends. Never taken back.
    revoked_at          INTEGER,
    revoke_reason       TEXT
) STRICT;
CREATE INDEX family_of_session ON refresh_family (session_id);

-- Keys that close seals, one for each hour and length of window. Deleting a row is what makes its seals unreadable.
CREATE TABLE seal_key (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hour       INTEGER NOT NULL,
    -- Whether it serves windows of up to a day, or the ordinary ones of up to ten minutes.
    long       INTEGER NOT NULL CHECK (long IN (0, 1)),
    key        BLOB NOT NULL CHECK (length(key) = 32),
    UNIQUE (hour, long)
) STRICT;

-- The keys that sign tokens (PKCS #8). A key is published before it signs and until its last token has expired.
CREATE TABLE signing_key (
    kid         TEXT PRIMARY KEY,
    algorithm   TEXT NOT NULL,
    private_key BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    signs_from  INTEGER NOT NULL
) STRICT;

-- Failures in a row, by account, by address and by unknown name. Successes are not counted.
CREATE TABLE throttle (
    subject       BLOB PRIMARY KEY CHECK (length(subject) = 16),
    -- An address is forgotten after an hour; an account's row stays until somebody signs in.
    forgettable   INTEGER NOT NULL CHECK (forgettable IN (0, 1)),
    failures      INTEGER NOT NULL,
    last_at       INTEGER NOT NULL,
    blocked_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the owner of an account, or the operator, wants to know later.
CREATE TABLE event (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    account_id INTEGER REFERENCES account (id) ON DELETE CASCADE,
    session_id BLOB CHECK (length(session_id) = 16),
    ip         BLOB CHECK (length(ip) IN (4, 16)),
    user_agent TEXT,
    -- A JSON object whose keys depend on the kind.
    detail     TEXT
) STRICT;
CREATE INDEX event_of_account ON event (account_id, id);
