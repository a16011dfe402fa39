-- Asking for a link costs the same for every address. Whoever deletes what a letter or a registration is about finds it
-- without reading all that wait.

-- What was asked for by e-mail address, whether or not anybody has it here: it costs the same, and tells nothing. Whose it
-- is, is found out by whoever sends the mail, within a second.
CREATE TABLE wish (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    email_key    TEXT NOT NULL,
    purpose      TEXT NOT NULL,
    requested_at INTEGER NOT NULL,
    ip           BLOB NOT NULL CHECK (length(ip) IN (4, 16)),
    user_agent   TEXT NOT NULL
) STRICT;

CREATE INDEX outbox_of_account ON outbox (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX outbox_of_link ON outbox (link_id) WHERE link_id IS NOT NULL;
CREATE INDEX outbox_of_registration ON outbox (registration_id) WHERE registration_id IS NOT NULL;
CREATE INDEX outbox_of_invitation ON outbox (invitation_id) WHERE invitation_id IS NOT NULL;
CREATE INDEX registration_of_invitation ON registration (invitation_id) WHERE invitation_id IS NOT NULL;
