-- Goods that a shopper gives back: requested, approved, received, and refunded or rejected.
CREATE TABLE commerce.returns (
    id uuid CONSTRAINT returns_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT returns_order_id_fkey REFERENCES commerce.orders (id),
    status text NOT NULL DEFAULT 'requested' CONSTRAINT returns_status_check
        CHECK (status IN ('requested', 'approved', 'received', 'refunded', 'rejected')),
    -- The declaration that opened it. It opens one at most.
    withdrawal_id uuid CONSTRAINT returns_withdrawal_id_fkey REFERENCES commerce.withdrawals (id),
    -- What the shopper wrote.
    note text CONSTRAINT returns_note_check CHECK (length(note) BETWEEN 1 AND 2000),
    -- What staff wrote to the shopper.
    answer text CONSTRAINT returns_answer_check CHECK (length(answer) BETWEEN 1 AND 2000),
    -- The first refund of its money, and all that is refunded. None if nothing was left to refund.
    refund_id uuid CONSTRAINT returns_refund_id_fkey REFERENCES commerce.refunds (id),
    refund_minor bigint NOT NULL DEFAULT 0,
    received_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT returns_withdrawal_id_key UNIQUE (withdrawal_id),
    CONSTRAINT returns_refund_id_key UNIQUE (refund_id),
    CONSTRAINT returns_received_at_check CHECK (
        CASE WHEN status IN ('requested', 'approved') THEN received_at IS NULL
             WHEN status IN ('received', 'refunded') THEN received_at IS NOT NULL ELSE true END),
    CONSTRAINT returns_refund_check CHECK (
        (refund_id IS NOT NULL) = (refund_minor > 0) AND (refund_id IS NULL OR status = 'refunded'))
);
CREATE INDEX returns_order_id_idx ON commerce.returns (order_id, created_at, id);
-- The list of all returns, newest first.
CREATE INDEX returns_created_at_idx ON commerce.returns (created_at, id);

CREATE TABLE commerce.return_lines (
    return_id uuid NOT NULL CONSTRAINT return_lines_return_id_fkey REFERENCES commerce.returns (id),
    order_line_id uuid NOT NULL CONSTRAINT return_lines_order_line_id_fkey REFERENCES commerce.order_lines (id),
    quantity bigint NOT NULL CONSTRAINT return_lines_quantity_check CHECK (quantity > 0),
    reason text NOT NULL CONSTRAINT return_lines_reason_check CHECK (reason IN (
        'withdrawal', 'changed_mind', 'does_not_fit', 'damaged', 'defective', 'wrong_item', 'not_as_described', 'other')),
    -- What came of it, once the return is received.
    received_quantity bigint CONSTRAINT return_lines_received_quantity_check CHECK (received_quantity BETWEEN 0 AND quantity),
    -- Whether the received units are sold again. If not, they were written off.
    restocked boolean,
    CONSTRAINT return_lines_pkey PRIMARY KEY (return_id, order_line_id),
    CONSTRAINT return_lines_restocked_check CHECK ((received_quantity IS NULL) = (restocked IS NULL))
);
CREATE INDEX return_lines_order_line_id_idx ON commerce.return_lines (order_line_id);

-- Units that came back with returns.
ALTER TABLE commerce.order_lines
    ADD COLUMN returned_quantity bigint NOT NULL DEFAULT 0
        CONSTRAINT order_lines_returned_quantity_check CHECK (returned_quantity BETWEEN 0 AND shipped_quantity);

ALTER TABLE commerce.refunds
    DROP CONSTRAINT refunds_reason_check,
    ADD CONSTRAINT refunds_reason_check CHECK (
        reason IN ('order_cancelled', 'lines_cancelled', 'excess', 'late_payment', 'requested', 'goods_returned'));
