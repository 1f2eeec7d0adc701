-- What the sweeps need: when a provider is asked again, and an end for carts and accounts that nobody uses.

-- When an expired order asks the provider about this attempt again. NULL if it has not asked yet.
ALTER TABLE commerce.payments ADD COLUMN ask_again_at timestamptz;

-- The cart of a guest is deleted some day. Its ended holds go with it. The ledger keeps what they did.
ALTER TABLE commerce.stock_reservations
    DROP CONSTRAINT stock_reservations_cart_id_fkey,
    ADD CONSTRAINT stock_reservations_cart_id_fkey
        FOREIGN KEY (cart_id) REFERENCES commerce.carts (id) ON DELETE CASCADE;

-- Accounts whose address was never verified, for the sweep that deletes them.
CREATE INDEX users_unverified_idx ON commerce.users (updated_at)
    WHERE email_verified_at IS NULL AND deleted_at IS NULL;
