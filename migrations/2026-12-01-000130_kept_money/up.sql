-- What the shop keeps of a cancelled order, because staff cancelled it without a refund.
ALTER TABLE commerce.orders
    ADD COLUMN kept_minor bigint NOT NULL DEFAULT 0
        CONSTRAINT orders_kept_minor_check CHECK (kept_minor >= 0 AND (kept_minor = 0 OR status = 'cancelled'));
