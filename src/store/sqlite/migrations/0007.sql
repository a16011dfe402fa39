-- OAuth 2.1 and OpenID Connect: clients, what account owners agreed to, what apps were granted.
CREATE TABLE oauth_client (
    id                     INTEGER PRIMARY KEY REFERENCES client (id) ON DELETE CASCADE,
    secret_digest          BLOB CHECK (length(secret_digest) = 32),
    grant_types            TEXT NOT NULL,
    scope                  TEXT NOT NULL,
    requires_pkce          INTEGER NOT NULL CHECK (requires_pkce IN (0, 1)),
    asks_consent           INTEGER NOT NULL CHECK (asks_consent IN (0, 1)),
    is_restricted          INTEGER NOT NULL CHECK (is_restricted IN (0, 1)),
    id_token_algorithm     TEXT NOT NULL,
    access_token_lifetime  INTEGER CHECK (access_token_lifetime > 0),
    refresh_token_lifetime INTEGER CHECK (refresh_token_lifetime > 0),
    backchannel_logout_uri TEXT,
    reaches_private        INTEGER NOT NULL CHECK (reaches_private IN (0, 1)),
    app                    TEXT,
    changed_at             INTEGER NOT NULL
) STRICT;
CREATE TABLE oauth_client_uri (
    client_id INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    kind      TEXT NOT NULL,
    uri       TEXT NOT NULL,
    PRIMARY KEY (client_id, kind, uri)
) STRICT, WITHOUT ROWID;
CREATE TABLE oauth_client_group (
    client_id INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    group_id  INTEGER NOT NULL REFERENCES user_group (id) ON DELETE CASCADE,
    PRIMARY KEY (client_id, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_client_of_group ON oauth_client_group (group_id);
CREATE TABLE consent (
    account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    client_id  INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    scope      TEXT NOT NULL,
    given_at   INTEGER NOT NULL,
    PRIMARY KEY (account_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_of_client ON consent (client_id);
CREATE TABLE oauth_grant (
    family_id       INTEGER PRIMARY KEY REFERENCES refresh_family (id) ON DELETE CASCADE,
    resource        TEXT,
    auth_time       INTEGER NOT NULL,
    amr             TEXT NOT NULL,
    is_offline      INTEGER NOT NULL CHECK (is_offline IN (0, 1)),
    is_refreshable  INTEGER NOT NULL CHECK (is_refreshable IN (0, 1)),
    granted_at      INTEGER NOT NULL
) STRICT;
CREATE TABLE authorization_code (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    digest         BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    client_id      INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    session_id     INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    redirect_uri   TEXT NOT NULL,
    scope          TEXT NOT NULL,
    resource       TEXT,
    nonce          TEXT,
    code_challenge TEXT,
    auth_time      INTEGER NOT NULL,
    amr            TEXT NOT NULL,
    expires_at     INTEGER NOT NULL,
    used_at        INTEGER,
    family_id      INTEGER REFERENCES refresh_family (id) ON DELETE SET NULL
) STRICT;
CREATE INDEX code_expires ON authorization_code (expires_at);
CREATE INDEX code_of_client ON authorization_code (client_id);
CREATE INDEX code_of_session ON authorization_code (session_id);
CREATE INDEX code_of_family ON authorization_code (family_id) WHERE family_id IS NOT NULL;
CREATE TABLE device_authorization (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    user_code    TEXT NOT NULL UNIQUE,
    client_id    INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    scope        TEXT NOT NULL,
    resource     TEXT,
    ip           BLOB NOT NULL CHECK (length(ip) IN (4, 16)),
    user_agent   TEXT,
    requested_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    poll_interval INTEGER NOT NULL,
    polled_at    INTEGER,
    session_id   INTEGER REFERENCES session (id) ON DELETE CASCADE,
    auth_time    INTEGER,
    amr          TEXT,
    denied_at    INTEGER
) STRICT;
CREATE INDEX device_expires ON device_authorization (expires_at);
CREATE INDEX device_of_client ON device_authorization (client_id);
CREATE INDEX device_of_session ON device_authorization (session_id) WHERE session_id IS NOT NULL;
CREATE TABLE logout_notice (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    client_id  INTEGER NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
    account_id BLOB NOT NULL CHECK (length(account_id) = 16),
    session_id BLOB NOT NULL CHECK (length(session_id) = 16),
    created_at INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    failure    TEXT
) STRICT;
CREATE INDEX logout_due ON logout_notice (due_at);
CREATE INDEX logout_of_client ON logout_notice (client_id);
