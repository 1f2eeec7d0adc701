ALTER TABLE commerce.refunds DROP CONSTRAINT refunds_reason_check;
UPDATE commerce.refunds SET reason = 'requested' WHERE reason = 'lines_cancelled';
ALTER TABLE commerce.refunds
    ADD CONSTRAINT refunds_reason_check CHECK (reason IN ('order_cancelled', 'excess', 'late_payment', 'requested'));
-- An order that its cancelled units made paid stays so.
ALTER TABLE commerce.orders
    DROP CONSTRAINT orders_paid_at_check,
    ADD CONSTRAINT orders_paid_at_check CHECK (paid_at IS NOT NULL OR paid_minor < total_minor),
    DROP COLUMN cancelled_minor;
ALTER TABLE commerce.order_lines
    DROP CONSTRAINT order_lines_shipped_check,
    DROP COLUMN cancelled_minor,
    DROP COLUMN cancelled_quantity,
    ADD CONSTRAINT order_lines_shipped_check CHECK (shipped_quantity BETWEEN 0 AND quantity);
