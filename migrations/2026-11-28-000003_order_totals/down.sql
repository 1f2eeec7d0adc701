-- The older schema cannot say where an order without a cart came from, nor whose it is if it is nobody's: such an order gets a
-- closed cart, and a token that nobody has.
ALTER TABLE commerce.orders
    DROP CONSTRAINT orders_paid_status_check,
    DROP CONSTRAINT orders_paid_at_check,
    DROP CONSTRAINT orders_amounts_check,
    DROP CONSTRAINT orders_owner_check,
    DROP CONSTRAINT orders_cart_check,
    DROP CONSTRAINT orders_source_check;

UPDATE commerce.orders SET token_hash = sha256(gen_random_uuid()::text::bytea)
WHERE num_nonnulls(user_id, token_hash) = 0;

WITH cartless AS (
    UPDATE commerce.orders SET cart_id = gen_random_uuid() WHERE cart_id IS NULL
    RETURNING cart_id, user_id, token_hash
)
INSERT INTO commerce.carts (id, user_id, token_hash, status)
SELECT cart_id, user_id, token_hash, 'ordered' FROM cartless;

-- It knows no tax within the prices either, and calls an order paid only while its money covers the total.
UPDATE commerce.orders SET tax_minor = tax_minor - tax_included_minor WHERE tax_included_minor > 0;
UPDATE commerce.orders SET paid_at = NULL WHERE paid_minor < total_minor AND paid_at IS NOT NULL;

ALTER TABLE commerce.orders
    DROP COLUMN source,
    DROP COLUMN tax_included_minor,
    ALTER COLUMN cart_id SET NOT NULL,
    ADD CONSTRAINT orders_owner_check CHECK (num_nonnulls(user_id, token_hash) = 1),
    ADD CONSTRAINT orders_amounts_check CHECK (
        subtotal_minor >= 0 AND discount_minor >= 0 AND shipping_minor >= 0 AND tax_minor >= 0
        AND total_minor = subtotal_minor - discount_minor + shipping_minor + tax_minor
        AND total_minor >= 0 AND paid_minor >= 0 AND refunded_minor BETWEEN 0 AND paid_minor),
    ADD CONSTRAINT orders_paid_at_check CHECK ((paid_at IS NOT NULL) = (paid_minor >= total_minor));
