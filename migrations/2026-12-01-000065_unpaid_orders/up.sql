-- A checkout asks whether its shopper has unpaid orders. Before a table was analysed, Postgres combined the index of the
-- shopper with that of all orders of the status, and the checkout read as many entries as the shop had unpaid orders.
-- One index that answers the whole question leaves nothing to combine.
DROP INDEX commerce.orders_token_hash_idx;
CREATE INDEX orders_token_hash_idx ON commerce.orders (token_hash, status) WHERE token_hash IS NOT NULL;
CREATE INDEX orders_unpaid_user_id_idx ON commerce.orders (user_id)
    WHERE status = 'pending_payment' AND user_id IS NOT NULL;
