-- Staff refund any part of a payment, also by units of lines.
ALTER TABLE commerce.refunds
    -- What staff wrote about it. The shopper reads it.
    ADD COLUMN note text,
    -- A request over several payments has a refund for each. This is the first of them, which has the lines.
    ADD COLUMN part_of uuid CONSTRAINT refunds_part_of_fkey REFERENCES commerce.refunds (id),
    DROP CONSTRAINT refunds_reason_check,
    ADD CONSTRAINT refunds_reason_check CHECK (reason IN ('order_cancelled', 'excess', 'late_payment', 'requested')),
    ADD CONSTRAINT refunds_part_of_check CHECK (part_of <> id);
CREATE INDEX refunds_part_of_idx ON commerce.refunds (part_of) WHERE part_of IS NOT NULL;

-- The units that a refund is for. They count as refunded unless their refund and all its other parts have failed.
CREATE TABLE commerce.refund_lines (
    refund_id uuid NOT NULL CONSTRAINT refund_lines_refund_id_fkey REFERENCES commerce.refunds (id),
    order_line_id uuid NOT NULL CONSTRAINT refund_lines_order_line_id_fkey REFERENCES commerce.order_lines (id),
    quantity bigint NOT NULL CONSTRAINT refund_lines_quantity_check CHECK (quantity > 0),
    -- What these units cost.
    amount_minor bigint NOT NULL CONSTRAINT refund_lines_amount_minor_check CHECK (amount_minor >= 0),
    -- Whether the units came back into stock with the refund.
    restocked boolean NOT NULL,
    CONSTRAINT refund_lines_pkey PRIMARY KEY (refund_id, order_line_id)
);
CREATE INDEX refund_lines_order_line_id_idx ON commerce.refund_lines (order_line_id);

-- The list of all payments, newest first.
CREATE INDEX payments_created_at_idx ON commerce.payments (created_at, id);
