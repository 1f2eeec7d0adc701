-- Totals that know tax within the prices, orders that came from no cart, and `paid_at` as what it is: something that happened.

ALTER TABLE commerce.orders
    -- As much of tax_minor as is within the prices.
    ADD COLUMN tax_included_minor bigint NOT NULL DEFAULT 0,
    -- Where it came from: a shopper's cart, or staff who took it down, by phone for example.
    ADD COLUMN source text NOT NULL DEFAULT 'cart'
        CONSTRAINT orders_source_check CHECK (source IN ('cart', 'staff')),
    ALTER COLUMN cart_id DROP NOT NULL,
    ADD CONSTRAINT orders_cart_check CHECK ((source = 'cart') = (cart_id IS NOT NULL)),
    DROP CONSTRAINT orders_owner_check,
    -- An order by phone may belong to nobody who could log in or show a token.
    ADD CONSTRAINT orders_owner_check
        CHECK (num_nonnulls(user_id, token_hash) = 1
               OR (source = 'staff' AND num_nonnulls(user_id, token_hash) = 0)),
    DROP CONSTRAINT orders_amounts_check,
    ADD CONSTRAINT orders_amounts_check CHECK (
        subtotal_minor >= 0 AND discount_minor >= 0 AND shipping_minor >= 0
        AND tax_included_minor BETWEEN 0 AND tax_minor
        AND total_minor = subtotal_minor - discount_minor + shipping_minor + tax_minor - tax_included_minor
        AND total_minor >= 0 AND paid_minor >= 0 AND refunded_minor BETWEEN 0 AND paid_minor),
    -- Money that covers the total makes an order paid. It stays paid when the total is raised afterwards.
    DROP CONSTRAINT orders_paid_at_check,
    ADD CONSTRAINT orders_paid_at_check CHECK (paid_at IS NOT NULL OR paid_minor < total_minor),
    ADD CONSTRAINT orders_paid_status_check
        CHECK (paid_at IS NOT NULL OR status IN ('pending_payment', 'cancelled'));
