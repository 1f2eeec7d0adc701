DROP INDEX commerce.emails_recipient_idx;
DROP INDEX commerce.emails_user_id_idx;
