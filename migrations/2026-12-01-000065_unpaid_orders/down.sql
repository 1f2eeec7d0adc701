DROP INDEX commerce.orders_unpaid_user_id_idx;
DROP INDEX commerce.orders_token_hash_idx;
CREATE INDEX orders_token_hash_idx ON commerce.orders (token_hash) WHERE token_hash IS NOT NULL;
