-- A provider may hold money for the shop before it takes it.
ALTER TABLE commerce.payments
    ADD COLUMN capture_method text NOT NULL DEFAULT 'automatic'
        CONSTRAINT payments_capture_method_check CHECK (capture_method IN ('automatic', 'manual')),
    ADD COLUMN authorized_minor bigint NOT NULL DEFAULT 0
        CONSTRAINT payments_authorized_minor_check CHECK (authorized_minor >= 0),
    -- When the provider lets go of the money.
    ADD COLUMN lapses_at timestamptz,
    DROP CONSTRAINT payments_status_check,
    ADD CONSTRAINT payments_status_check CHECK (status IN (
        'pending', 'requires_action', 'processing', 'authorized', 'succeeded', 'failed', 'expired', 'cancelled',
        'partially_refunded', 'refunded')),
    ADD CONSTRAINT payments_authorized_check CHECK (status <> 'authorized' OR authorized_minor > 0);
DROP INDEX commerce.payments_open_idx;
CREATE INDEX payments_open_idx ON commerce.payments (created_at)
    WHERE status IN ('pending', 'requires_action', 'processing', 'authorized');

-- What providers hold for the order.
ALTER TABLE commerce.orders
    ADD COLUMN authorized_minor bigint NOT NULL DEFAULT 0
        CONSTRAINT orders_authorized_minor_check CHECK (authorized_minor >= 0),
    DROP CONSTRAINT orders_payment_status_check,
    ADD CONSTRAINT orders_payment_status_check CHECK (payment_status IN (
        'unpaid', 'authorized', 'partially_paid', 'paid', 'overpaid', 'partially_refunded', 'refunded'));
