-- A provider is whoever a host plugs in. What came in is what the provider said, not what was asked for. A refund may take its
-- time at the provider, and there is a way on when it failed.

ALTER TABLE commerce.payments
    DROP CONSTRAINT payments_provider_check,
    ADD CONSTRAINT payments_provider_check CHECK (provider ~ '^[a-z][a-z0-9_]{0,39}$'),
    -- What came in, in the attempt's currency; amount_minor is what was asked for.
    ADD COLUMN captured_minor bigint NOT NULL DEFAULT 0,
    -- What the provider kept for itself, where it tells.
    ADD COLUMN fee_minor bigint,
    ADD COLUMN fee_currency text CONSTRAINT payments_fee_currency_check CHECK (fee_currency ~ '^[A-Z]{3}$'),
    ADD CONSTRAINT payments_fee_check CHECK ((fee_minor IS NULL) = (fee_currency IS NULL));
UPDATE commerce.payments SET captured_minor = amount_minor WHERE succeeded_at IS NOT NULL;
ALTER TABLE commerce.payments
    ADD CONSTRAINT payments_captured_check
        CHECK (captured_minor >= 0 AND (captured_minor > 0) = (succeeded_at IS NOT NULL)),
    DROP CONSTRAINT payments_refunded_check,
    ADD CONSTRAINT payments_refunded_check CHECK (refunded_minor BETWEEN 0 AND captured_minor);

ALTER TABLE commerce.refunds
    -- Names what is paid back for what reason: among refunds that have not failed there is one with this key.
    ADD COLUMN dedupe_key text,
    -- 1 at first; each retry by a person is another request to the provider, under a key of its own.
    ADD COLUMN attempt integer NOT NULL DEFAULT 1 CONSTRAINT refunds_attempt_check CHECK (attempt > 0),
    -- When this attempt was brought to the provider: set before the call, so that an answer that is lost is asked for.
    ADD COLUMN asked_at timestamptz,
    -- How a person paid it back without the provider.
    ADD COLUMN by_hand_note text,
    DROP CONSTRAINT refunds_reason_key,
    DROP CONSTRAINT refunds_status_check,
    ADD CONSTRAINT refunds_status_check CHECK (status IN ('pending', 'processing', 'succeeded', 'failed'));
-- Whether the provider was asked for those that are pending, nobody wrote down: how they stand is asked first.
UPDATE commerce.refunds SET dedupe_key = payment_id || ':' || reason,
    status = CASE WHEN status = 'pending' THEN 'processing' ELSE status END, asked_at = created_at;
ALTER TABLE commerce.refunds
    ALTER COLUMN dedupe_key SET NOT NULL,
    ADD CONSTRAINT refunds_asked_at_check CHECK (asked_at IS NOT NULL OR status <> 'processing'),
    ADD CONSTRAINT refunds_by_hand_note_check CHECK (by_hand_note IS NULL OR status = 'succeeded');
DROP INDEX commerce.refunds_pending_idx;
CREATE UNIQUE INDEX refunds_dedupe_key_key ON commerce.refunds (dedupe_key) WHERE status <> 'failed';
CREATE INDEX refunds_payment_id_idx ON commerce.refunds (payment_id);
CREATE INDEX refunds_status_idx ON commerce.refunds (status, created_at, id);
CREATE INDEX refunds_created_at_idx ON commerce.refunds (created_at, id);
