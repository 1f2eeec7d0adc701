-- What the shop keeps of the price of goods that came back, for wear.
ALTER TABLE commerce.returns
    ADD COLUMN deducted_minor bigint NOT NULL DEFAULT 0
        CONSTRAINT returns_deducted_minor_check
            CHECK (deducted_minor >= 0 AND (deducted_minor = 0 OR refund_id IS NOT NULL));
