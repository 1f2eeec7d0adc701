-- Declarations of withdrawal from a contract (Directive (EU) 2023/2673), made by anybody and kept as they were made, also
-- when no order matches. One that is not confirmed is deleted after a day.
CREATE TABLE commerce.withdrawals (
    id uuid CONSTRAINT withdrawals_pkey PRIMARY KEY,
    name text NOT NULL CONSTRAINT withdrawals_name_check CHECK (length(name) BETWEEN 1 AND 200),
    email text NOT NULL,
    -- As it was typed.
    order_number text NOT NULL CONSTRAINT withdrawals_order_number_check CHECK (length(order_number) BETWEEN 1 AND 40),
    -- The units, as [{"order_line_id": …, "quantity": …}]. None for the whole order.
    lines jsonb CONSTRAINT withdrawals_lines_check CHECK (jsonb_typeof(lines) = 'array'),
    text text CONSTRAINT withdrawals_text_check CHECK (length(text) BETWEEN 1 AND 2000),
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    confirmed_at timestamptz,
    -- When the order was looked for.
    processed_at timestamptz,
    order_id uuid CONSTRAINT withdrawals_order_id_fkey REFERENCES commerce.orders (id),
    CONSTRAINT withdrawals_processed_at_check CHECK (processed_at IS NULL OR confirmed_at IS NOT NULL),
    CONSTRAINT withdrawals_order_id_check CHECK (order_id IS NULL OR processed_at IS NOT NULL)
);
-- The list of all, newest first.
CREATE INDEX withdrawals_created_at_idx ON commerce.withdrawals (created_at, id);
-- Those that wait for their confirmation, or their end.
CREATE INDEX withdrawals_unconfirmed_idx ON commerce.withdrawals (created_at) WHERE confirmed_at IS NULL;
CREATE INDEX withdrawals_order_id_idx ON commerce.withdrawals (order_id) WHERE order_id IS NOT NULL;
