-- Money that is only authorized is none that came in: such an attempt continues as one that the provider works on.
UPDATE commerce.payments SET status = 'processing' WHERE status = 'authorized';
UPDATE commerce.orders SET payment_status = CASE WHEN paid_minor > 0 THEN 'partially_paid' ELSE 'unpaid' END
    WHERE payment_status = 'authorized';

ALTER TABLE commerce.orders
    DROP CONSTRAINT orders_payment_status_check,
    ADD CONSTRAINT orders_payment_status_check CHECK (payment_status IN (
        'unpaid', 'partially_paid', 'paid', 'overpaid', 'partially_refunded', 'refunded')),
    DROP COLUMN authorized_minor;

DROP INDEX commerce.payments_open_idx;
CREATE INDEX payments_open_idx ON commerce.payments (created_at)
    WHERE status IN ('pending', 'requires_action', 'processing');
ALTER TABLE commerce.payments
    DROP CONSTRAINT payments_authorized_check,
    DROP CONSTRAINT payments_status_check,
    ADD CONSTRAINT payments_status_check CHECK (status IN (
        'pending', 'requires_action', 'processing', 'succeeded', 'failed', 'expired', 'cancelled',
        'partially_refunded', 'refunded')),
    DROP COLUMN lapses_at,
    DROP COLUMN authorized_minor,
    DROP COLUMN capture_method;
