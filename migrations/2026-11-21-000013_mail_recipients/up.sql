-- The mails of a person, to be forgotten with the account.
CREATE INDEX emails_recipient_idx ON commerce.emails (recipient);
CREATE INDEX emails_user_id_idx ON commerce.emails ((data ->> 'user_id')) WHERE data ->> 'user_id' IS NOT NULL;
