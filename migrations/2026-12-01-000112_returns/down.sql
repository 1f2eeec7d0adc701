UPDATE commerce.refunds SET reason = 'requested' WHERE reason = 'goods_returned';
ALTER TABLE commerce.refunds
    DROP CONSTRAINT refunds_reason_check,
    ADD CONSTRAINT refunds_reason_check
        CHECK (reason IN ('order_cancelled', 'lines_cancelled', 'excess', 'late_payment', 'requested'));
ALTER TABLE commerce.order_lines DROP COLUMN returned_quantity;
DROP TABLE commerce.return_lines;
DROP TABLE commerce.returns;
