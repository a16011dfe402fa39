-- The current schema of authd's database. A new file is created from this text. An older file gets the same schema from
-- the migrations in src/store/sqlite/migrations; a test compares the two.
--
-- Conventions: a column `…_at` is an instant in whole seconds since the Unix epoch. Rows are joined by integer keys.
-- The ids that clients see are UUIDs of 16 bytes (`public_id`). No column contains a token: only digests, seals and
-- keys.

-- The server itself: one row, created together with the first keys.
CREATE TABLE server (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    -- A restore raises it. Nothing that was issued in an older epoch works any more.
    epoch           INTEGER NOT NULL,
    -- Makes the tags of refresh tokens. A tag shows that an old token is genuine, without a row for each token.
    tag_key         BLOB NOT NULL CHECK (length(tag_key) = 32),
    -- The digest of the token in the set-up link, as long as there is no administrator.
    setup_digest    BLOB CHECK (length(setup_digest) = 32),
    -- The clock's mark: the latest instant that was used as the time, and the latest that is confirmed.
    clock_latest    INTEGER NOT NULL,
    clock_confirmed INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE account (
    -- AUTOINCREMENT, so that no key is used twice: a request that read the key of an account before the account was
    -- deleted must not act on a newer account.
    id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id            BLOB NOT NULL UNIQUE CHECK (length(public_id) = 16),
    -- As the owner typed it. `…_key` is the form that is compared: normalised, and in lower case.
    email                TEXT NOT NULL,
    email_key            TEXT NOT NULL UNIQUE,
    username             TEXT,
    username_key         TEXT UNIQUE,
    -- The name of its owner, for display.
    name                 TEXT,
    admin                INTEGER NOT NULL CHECK (admin IN (0, 1)),
    -- A PHC string (Argon2id). NULL: the account has no password yet.
    password_hash        TEXT,
    -- Whether an operator set the password, and the owner must replace it at the next sign-in.
    password_temporary   INTEGER NOT NULL CHECK (password_temporary IN (0, 1)),
    disabled_at          INTEGER,
    created_at           INTEGER NOT NULL,
    -- When its owner proved to read mail at this address. NULL: not yet.
    email_verified_at    INTEGER,
    -- The name in the form that is searched: normalised, and in lower case.
    name_key             TEXT
) STRICT;
-- For the search by the beginning of a name.
CREATE INDEX account_name ON account (name_key, id) WHERE name_key IS NOT NULL;
-- For lists of the accounts of one state, and for the question whether another administrator is left.
CREATE INDEX account_administrator ON account (id) WHERE admin = 1;
CREATE INDEX account_disabled ON account (id) WHERE disabled_at IS NOT NULL;
CREATE INDEX account_unverified ON account (id) WHERE email_verified_at IS NULL;

-- A change of e-mail address. It waits until it is confirmed at the present address and at the new one.
CREATE TABLE email_change (
    account_id           INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    email                TEXT NOT NULL,
    email_key            TEXT NOT NULL,
    requested_at         INTEGER NOT NULL,
    present_confirmed_at INTEGER,
    new_confirmed_at     INTEGER
) STRICT;

-- Groups of accounts. Apps read their names from access tokens.
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

-- OAuth clients. One is built in: the public client `authd`, to which first-party sessions belong.
CREATE TABLE client (
    id            INTEGER PRIMARY KEY,
    client_id     TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    -- For how many seconds a used refresh token yields the same successor again. NULL: the setting `replay_window`.
    replay_window INTEGER CHECK (replay_window BETWEEN 0 AND 86400),
    created_at    INTEGER NOT NULL
) STRICT;

-- The User-Agent headers of devices, each text once. The key is computed from the text and the tag key.
CREATE TABLE user_agent (
    id      INTEGER PRIMARY KEY,
    text    TEXT NOT NULL,
    -- The first use on the last day of use. A sweep deletes a text that was unused for longer than a session can be.
    seen_at INTEGER NOT NULL
) STRICT;

-- One sign-in on one device. A rotation does not write this table: the last use of a session is its own last use or the
-- last rotation of one of its families, whichever is later.
CREATE TABLE session (
    -- AUTOINCREMENT for the same reason as an account's.
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id     BLOB NOT NULL UNIQUE CHECK (length(public_id) = 16),
    account_id    INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    device_name   TEXT,
    -- How the account owner was authenticated: `amr` values (RFC 8176), separated by spaces.
    amr           TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    -- Its own last use, with the address and the device: the sign-in, or a request with its cookie.
    last_used_at  INTEGER NOT NULL,
    ip            BLOB NOT NULL CHECK (length(ip) IN (4, 16)),
    user_agent_id INTEGER NOT NULL,
    -- The absolute end. A session also ends when it was unused for the setting `session_idle_lifetime`.
    expires_at    INTEGER NOT NULL,
    -- When and why it was ended before that. Never reset to NULL.
    ended_at      INTEGER,
    end_reason    TEXT
) STRICT;
CREATE INDEX session_of_account ON session (account_id);

-- The sessions that a browser holds by a cookie. A session has such a row or a refresh-token family of authd's own client.
CREATE TABLE browser_session (
    session_id       INTEGER PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    -- The digest of the cookie. The cookie is replaced when its holder authenticates again.
    digest           BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    -- Whether the browser keeps the cookie when it is closed.
    kept             INTEGER NOT NULL CHECK (kept IN (0, 1)),
    -- When its holder was last fully authenticated: at the sign-in, or with a new password.
    authenticated_at INTEGER NOT NULL
) STRICT;

-- When the holder of a browser session authenticated again, and for which purpose.
CREATE TABLE step_up (
    session_id INTEGER NOT NULL REFERENCES browser_session (session_id) ON DELETE CASCADE,
    purpose    TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (session_id, purpose)
) STRICT, WITHOUT ROWID;

-- All successive refresh tokens of one session and one client: one row, updated in place. Its blobs have their full
-- size from the start, so that a rotation changes the length of the row by a byte or two at most.
CREATE TABLE refresh_family (
    id                  INTEGER PRIMARY KEY,
    public_id           BLOB NOT NULL UNIQUE CHECK (length(public_id) = 16),
    session_id          INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    client_id           INTEGER NOT NULL REFERENCES client (id) ON DELETE CASCADE,
    epoch               INTEGER NOT NULL,
    -- The number of the one live token, from 1, and the digest of its secret.
    generation          INTEGER NOT NULL CHECK (generation BETWEEN 1 AND 4294967295),
    digest              BLOB NOT NULL CHECK (length(digest) = 32),
    -- The live secret, encrypted so that only the holder of its predecessor can read it; and the key of the encryption.
    seal                BLOB NOT NULL CHECK (length(seal) = 48),
    seal_key_id         INTEGER NOT NULL,
    rotated_at          INTEGER NOT NULL,
    -- How often the predecessor was presented again since the last rotation.
    replays             INTEGER NOT NULL,
    -- The device of the last rotation (4 or 16 bytes of address): a replay from another one is counted in `lockstep`.
    ip                  BLOB NOT NULL CHECK (length(ip) IN (4, 16)),
    user_agent_id       INTEGER NOT NULL,
    -- The digest of the Idempotency-Key of the last rotation.
    retry_digest        BLOB CHECK (length(retry_digest) = 32),
    -- In how many generations in a row another device replayed the predecessor, and the last of these generations.
    lockstep            INTEGER NOT NULL,
    lockstep_generation INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    -- When and why it was revoked. The row is kept for reuse detection. Never reset to NULL.
    revoked_at          INTEGER,
    revoke_reason       TEXT,
    -- The scope of its access tokens (RFC 6749 §3.3), separated by spaces. NULL: the client asked for none.
    scope               TEXT
) STRICT;
CREATE INDEX family_of_session ON refresh_family (session_id);

-- The keys of seals, one for each hour and kind of window. When a row is deleted, its seals cannot be opened any more.
CREATE TABLE seal_key (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hour       INTEGER NOT NULL,
    -- 1: for windows of up to a day. 0: for the ordinary windows of up to ten minutes.
    long       INTEGER NOT NULL CHECK (long IN (0, 1)),
    key        BLOB NOT NULL CHECK (length(key) = 32),
    UNIQUE (hour, long)
) STRICT;

-- The keys that sign tokens (PKCS #8). A key is published from before it signs until its last token has expired.
CREATE TABLE signing_key (
    kid         TEXT PRIMARY KEY,
    algorithm   TEXT NOT NULL,
    private_key BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    signs_from  INTEGER NOT NULL
) STRICT;

-- Rate limits: by network, by login and network, by session and by mailbox. Attempts use up an allowance, and time
-- restores it. The subject is a keyed digest, so that the file does not list the addresses and logins that were tried.
CREATE TABLE throttle (
    subject     BLOB PRIMARY KEY CHECK (length(subject) = 16),
    -- When the whole allowance is restored. Each attempt moves it to a later time. After it, the row has no meaning.
    restored_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX throttle_restored ON throttle (restored_at);

-- Wrong passwords for an account: one row for each network from which its owner signed in within 90 days, and one for
-- all other networks together.
CREATE TABLE sign_in_counter (
    account_id   INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    -- A keyed digest of the network; empty for all other networks.
    place        BLOB NOT NULL CHECK (length(place) IN (0, 16)),
    -- The latest sign-in from there; NULL for all other networks.
    signed_in_at INTEGER,
    -- The number of wrong passwords since the last day without one, and when the latest was given.
    failures     INTEGER NOT NULL,
    failed_at    INTEGER,
    -- Until this time, even the right password is refused.
    locked_until INTEGER,
    PRIMARY KEY (account_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX counter_locked ON sign_in_counter (locked_until) WHERE locked_until IS NOT NULL;

-- The history that account owners and operators read: sign-ins, changes, refusals.
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
CREATE INDEX event_of_nobody ON event (kind, id) WHERE account_id IS NULL;

-- Invitations: each permits one registration.
CREATE TABLE invitation (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id  BLOB NOT NULL UNIQUE CHECK (length(public_id) = 16),
    -- The address that the account must have; NULL for any.
    email      TEXT,
    email_key  TEXT,
    -- The group that the new account is put into.
    group_id   INTEGER REFERENCES user_group (id) ON DELETE SET NULL,
    -- Whether it is mailed to that address. Then a registration with it also verifies the address.
    is_mailed  INTEGER NOT NULL CHECK (is_mailed IN (0, 1)),
    created_at INTEGER NOT NULL,
    -- The account that was created with it.
    account_id INTEGER REFERENCES account (id) ON DELETE SET NULL
) STRICT;

-- Registrations whose e-mail address is not verified yet. The account is created when the person opens the mailed link
-- and gives the password that was chosen with the registration. Until then the address and the username stay free.
CREATE TABLE registration (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    email         TEXT NOT NULL,
    email_key     TEXT NOT NULL,
    username      TEXT,
    name          TEXT,
    password_hash TEXT NOT NULL,
    -- Its invitation, if it has one. The invitation is used up when the account is created.
    invitation_id INTEGER REFERENCES invitation (id) ON DELETE CASCADE,
    requested_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX registration_of_email ON registration (email_key, requested_at);
CREATE INDEX registration_of_invitation ON registration (invitation_id) WHERE invitation_id IS NOT NULL;

-- Tokens that work once. Each is part of a link, and only the link contains the plain token.
CREATE TABLE one_time_token (
    id              INTEGER PRIMARY KEY,
    purpose         TEXT NOT NULL,
    -- The subject. Exactly one of these is set.
    account_id      INTEGER REFERENCES account (id) ON DELETE CASCADE,
    registration_id INTEGER REFERENCES registration (id) ON DELETE CASCADE,
    invitation_id   INTEGER REFERENCES invitation (id) ON DELETE CASCADE,
    -- When a client requested it, and from which address (4 or 16 bytes). NULL: an operator requested it.
    requested_at    INTEGER NOT NULL,
    ip              BLOB CHECK (length(ip) IN (4, 16)),
    user_agent      TEXT,
    -- NULL until its message is about to be sent.
    digest          BLOB UNIQUE CHECK (length(digest) = 32),
    expires_at      INTEGER,
    -- When and why it ended before that: it was used, replaced or withdrawn, or all tokens of the account were
    -- invalidated. Never reset to NULL.
    ended_at        INTEGER,
    end_reason      TEXT,
    CHECK (coalesce(account_id, registration_id, invitation_id) IS NOT NULL)
) STRICT;
CREATE INDEX token_of_account ON one_time_token (account_id, requested_at) WHERE account_id IS NOT NULL;
CREATE INDEX token_of_registration ON one_time_token (registration_id) WHERE registration_id IS NOT NULL;
CREATE INDEX token_of_invitation ON one_time_token (invitation_id) WHERE invitation_id IS NOT NULL;

-- Messages that are not sent yet: the recipient and the topic. The text is written when a message is sent.
CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    -- For its Message-ID: the same at each try. After a restart the link is a new one, and then so is this.
    public_id   BLOB NOT NULL CHECK (length(public_id) = 16),
    topic       TEXT NOT NULL,
    -- Set if a client requested a link by address: the address in its compared form. The sender looks up the account.
    email_key   TEXT,
    -- The account that it is about. NULL: it is not looked up yet, or the recipient has no account.
    account_id  INTEGER REFERENCES account (id) ON DELETE CASCADE,
    -- The recipient. NULL: the address that the account has when the message is sent.
    email       TEXT,
    -- The token in its link, if it has one.
    token_id    INTEGER REFERENCES one_time_token (id) ON DELETE CASCADE,
    -- The client that caused it. NULL: an operator caused it.
    ip          BLOB CHECK (length(ip) IN (4, 16)),
    user_agent  TEXT,
    created_at  INTEGER NOT NULL,
    -- How often sending was tried, and when it is tried next.
    attempts    INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    -- What the mail server answered to the last try that failed, and when that was.
    failure     TEXT,
    failed_at   INTEGER,
    CHECK (coalesce(email_key, email) IS NOT NULL OR account_id IS NOT NULL)
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at);
CREATE UNIQUE INDEX outbox_request ON outbox (email_key, topic) WHERE email_key IS NOT NULL;
-- These serve ON DELETE CASCADE: without them, the deletion of an account or of a token reads all messages.
CREATE INDEX outbox_of_account ON outbox (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX outbox_of_token ON outbox (token_id) WHERE token_id IS NOT NULL;

-- What an operator registered about an app that signs people in here. The built-in client has no such row.
CREATE TABLE oauth_client (
    id                     INTEGER PRIMARY KEY REFERENCES client (id) ON DELETE CASCADE,
    -- The digest of its secret; NULL for a public client, which cannot authenticate (RFC 6749 §2.1).
    secret_digest          BLOB CHECK (length(secret_digest) = 32),
    -- The grants that it may use and the scopes that it may ask for, separated by spaces (RFC 7591 §2).
    grant_types            TEXT NOT NULL,
    scope                  TEXT NOT NULL,
    -- Whether it must send a PKCE challenge (RFC 7636).
    requires_pkce          INTEGER NOT NULL CHECK (requires_pkce IN (0, 1)),
    -- Whether account owners are asked before it gets something. Never 0 for a public client.
    asks_consent           INTEGER NOT NULL CHECK (asks_consent IN (0, 1)),
    -- Whether only members of its groups may use it. Not the same as having groups: a group can be deleted.
    is_restricted          INTEGER NOT NULL CHECK (is_restricted IN (0, 1)),
    -- The algorithm of its ID and logout tokens (RFC 7518 §3.1).
    id_token_algorithm     TEXT NOT NULL,
    -- Lifetimes of its tokens, in seconds; NULL: as configured.
    access_token_lifetime  INTEGER CHECK (access_token_lifetime > 0),
    refresh_token_lifetime INTEGER CHECK (refresh_token_lifetime > 0),
    -- Where it is told that a session has ended, and whether that may be an address of a private network.
    backchannel_logout_uri TEXT,
    reaches_private        INTEGER NOT NULL CHECK (reaches_private IN (0, 1)),
    -- The known app that it was made for.
    app                    TEXT,
    changed_at             INTEGER NOT NULL
) STRICT;

-- Its addresses: where answers go (redirect, post_logout), whose scripts may call (origin), for which servers its access
-- tokens are (resource).
CREATE TABLE oauth_client_uri (
    client_id INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    kind      TEXT NOT NULL,
    uri       TEXT NOT NULL,
    PRIMARY KEY (client_id, kind, uri)
) STRICT, WITHOUT ROWID;

-- The groups whose members may use it, if it is restricted.
CREATE TABLE oauth_client_group (
    client_id INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    group_id  INTEGER NOT NULL REFERENCES user_group (id) ON DELETE CASCADE,
    PRIMARY KEY (client_id, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_client_of_group ON oauth_client_group (group_id);

-- What account owners agreed to, so that they are not asked each time.
CREATE TABLE consent (
    account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    client_id  INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    scope      TEXT NOT NULL,
    given_at   INTEGER NOT NULL,
    PRIMARY KEY (account_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_of_client ON consent (client_id);

-- What an app was granted in a session. Its refresh tokens are the family; an app that gets none has a family all the same,
-- whose token nobody has, so that each grant can be ended.
CREATE TABLE oauth_grant (
    family_id       INTEGER PRIMARY KEY REFERENCES refresh_family (id) ON DELETE CASCADE,
    -- The audience of its access tokens (RFC 8707); NULL for this server's userinfo endpoint.
    resource        TEXT,
    -- When and how the account owner had been authenticated.
    auth_time       INTEGER NOT NULL,
    amr             TEXT NOT NULL,
    -- Whether it goes on after the browser's session has expired (the scope `offline_access`).
    is_offline      INTEGER NOT NULL CHECK (is_offline IN (0, 1)),
    -- Whether the app has a refresh token.
    is_refreshable  INTEGER NOT NULL CHECK (is_refreshable IN (0, 1)),
    granted_at      INTEGER NOT NULL
) STRICT;

-- Authorization codes (RFC 6749 §4.1). A used one is kept until it has expired: its second use ends what came of the first.
CREATE TABLE authorization_code (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    digest         BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    client_id      INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    session_id     INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    -- As the request had them.
    redirect_uri   TEXT NOT NULL,
    scope          TEXT NOT NULL,
    resource       TEXT,
    nonce          TEXT,
    code_challenge TEXT,
    auth_time      INTEGER NOT NULL,
    amr            TEXT NOT NULL,
    expires_at     INTEGER NOT NULL,
    used_at        INTEGER,
    -- What came of it.
    family_id      INTEGER REFERENCES refresh_family (id) ON DELETE SET NULL
) STRICT;
CREATE INDEX code_expires ON authorization_code (expires_at);
CREATE INDEX code_of_client ON authorization_code (client_id);
CREATE INDEX code_of_session ON authorization_code (session_id);
CREATE INDEX code_of_family ON authorization_code (family_id) WHERE family_id IS NOT NULL;

-- Devices that wait for a person to sign them in at another screen (RFC 8628).
CREATE TABLE device_authorization (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    -- What the person types. It is short, so it is no secret for long.
    user_code    TEXT NOT NULL UNIQUE,
    client_id    INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    scope        TEXT NOT NULL,
    resource     TEXT,
    -- The device that asked.
    ip           BLOB NOT NULL CHECK (length(ip) IN (4, 16)),
    user_agent   TEXT,
    requested_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    -- How often it may ask, in seconds, and when it did.
    poll_interval INTEGER NOT NULL,
    polled_at    INTEGER,
    -- The answer: the session in which it was allowed, or that it was refused.
    session_id   INTEGER REFERENCES session (id) ON DELETE CASCADE,
    auth_time    INTEGER,
    amr          TEXT,
    denied_at    INTEGER
) STRICT;
CREATE INDEX device_expires ON device_authorization (expires_at);
CREATE INDEX device_of_client ON device_authorization (client_id);
CREATE INDEX device_of_session ON device_authorization (session_id) WHERE session_id IS NOT NULL;

-- Apps that are to be told that a session has ended (OpenID Connect Back-Channel Logout 1.0). The token is signed when the
-- message leaves. The names are kept, not the rows: an account may be deleted before.
CREATE TABLE logout_notice (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    client_id  INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    account_id BLOB NOT NULL CHECK (length(account_id) = 16),
    session_id BLOB NOT NULL CHECK (length(session_id) = 16),
    created_at INTEGER NOT NULL,
    -- How often it was tried, when it is tried next, and what the app answered to the last try.
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    failure    TEXT
) STRICT;
CREATE INDEX logout_due ON logout_notice (due_at);
CREATE INDEX logout_of_client ON logout_notice (client_id);
