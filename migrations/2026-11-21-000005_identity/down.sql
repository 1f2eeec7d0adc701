DROP TABLE commerce.addresses;
DELETE FROM commerce.one_time_codes WHERE purpose = 'change_email';
ALTER TABLE commerce.one_time_codes DROP COLUMN new_email;
DROP INDEX commerce.refresh_tokens_used_at_idx;
DELETE FROM commerce.sessions WHERE cookie_hash IS NOT NULL;
ALTER TABLE commerce.sessions DROP COLUMN cookie_hash;
ALTER TABLE commerce.users DROP COLUMN IF EXISTS deleted_at;
