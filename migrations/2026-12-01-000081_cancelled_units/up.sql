-- Units of a line are cancelled. The line and the order's totals stay as they were at checkout, and what is cancelled
-- is counted beside them: an order costs its total without what is cancelled of it.
ALTER TABLE commerce.order_lines
    ADD COLUMN cancelled_quantity bigint NOT NULL DEFAULT 0,
    -- What these units cost, with their part of discounts and taxes.
    ADD COLUMN cancelled_minor bigint NOT NULL DEFAULT 0
        CONSTRAINT order_lines_cancelled_minor_check CHECK (cancelled_minor >= 0 AND (cancelled_quantity > 0 OR cancelled_minor = 0)),
    DROP CONSTRAINT order_lines_shipped_check,
    ADD CONSTRAINT order_lines_shipped_check CHECK (
        shipped_quantity >= 0 AND cancelled_quantity >= 0 AND shipped_quantity + cancelled_quantity <= quantity);

ALTER TABLE commerce.orders
    ADD COLUMN cancelled_minor bigint NOT NULL DEFAULT 0
        CONSTRAINT orders_cancelled_minor_check CHECK (cancelled_minor BETWEEN 0 AND total_minor),
    DROP CONSTRAINT orders_paid_at_check,
    ADD CONSTRAINT orders_paid_at_check CHECK (paid_at IS NOT NULL OR paid_minor < total_minor - cancelled_minor);

ALTER TABLE commerce.refunds
    DROP CONSTRAINT refunds_reason_check,
    ADD CONSTRAINT refunds_reason_check
        CHECK (reason IN ('order_cancelled', 'lines_cancelled', 'excess', 'late_payment', 'requested'));
