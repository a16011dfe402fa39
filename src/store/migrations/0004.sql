-- Whoever deletes what a letter or a registration is about finds it without reading all that wait.

CREATE INDEX outbox_of_account ON outbox (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX outbox_of_link ON outbox (link_id) WHERE link_id IS NOT NULL;
CREATE INDEX outbox_of_registration ON outbox (registration_id) WHERE registration_id IS NOT NULL;
CREATE INDEX outbox_of_invitation ON outbox (invitation_id) WHERE invitation_id IS NOT NULL;
CREATE INDEX registration_of_invitation ON registration (invitation_id) WHERE invitation_id IS NOT NULL;
