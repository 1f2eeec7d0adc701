DROP INDEX commerce.users_disabled_idx;
DROP INDEX commerce.users_role_idx;
DROP INDEX commerce.users_display_name_idx;
DROP INDEX commerce.users_created_at_idx;
DROP INDEX commerce.users_search_idx;
ALTER TABLE commerce.users DROP COLUMN phone;
DROP TABLE commerce.audit_log;
