DROP INDEX commerce.users_unverified_idx;
ALTER TABLE commerce.stock_reservations
    DROP CONSTRAINT stock_reservations_cart_id_fkey,
    ADD CONSTRAINT stock_reservations_cart_id_fkey FOREIGN KEY (cart_id) REFERENCES commerce.carts (id);
ALTER TABLE commerce.payments DROP COLUMN ask_again_at;
