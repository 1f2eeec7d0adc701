-- Stock as people keep it: several locations, transfers between them, and a threshold below which a variant is low.

-- An inactive location supplies nothing: its units are not for sale, and what is reserved there is shipped. A deleted one has no
-- units, and its row stays for the ledger.
ALTER TABLE commerce.stock_locations
    ADD COLUMN active boolean NOT NULL DEFAULT true,
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    ADD COLUMN deleted_at timestamptz,
    ADD CONSTRAINT stock_locations_deleted_at_check CHECK (deleted_at IS NULL OR NOT active),
    DROP CONSTRAINT stock_locations_code_key,
    -- Of two locations with the same priority, the older one supplies first.
    DROP CONSTRAINT stock_locations_priority_key;
CREATE UNIQUE INDEX stock_locations_code_key ON commerce.stock_locations (code) WHERE deleted_at IS NULL;

ALTER TABLE commerce.stock_movements DROP CONSTRAINT stock_movements_kind_check,
    ADD CONSTRAINT stock_movements_kind_check
        CHECK (kind IN ('adjust', 'transfer', 'reserve', 'release', 'consume', 'return', 'repair'));

-- At so many available units, or fewer, a variant is low.
CREATE TABLE commerce.stock_thresholds (
    variant_id uuid CONSTRAINT stock_thresholds_pkey PRIMARY KEY
        CONSTRAINT stock_thresholds_variant_id_fkey REFERENCES commerce.variants (id),
    threshold bigint NOT NULL CONSTRAINT stock_thresholds_threshold_check CHECK (threshold BETWEEN 0 AND 1000000000),
    -- When the shop was told that the variant is low. NULL once it is no longer low.
    told_at timestamptz
);

-- Only active locations count. They are few: an array of them is looked up once, and a join costs more.
CREATE OR REPLACE VIEW commerce.available_stock AS
SELECT level.variant_id,
       (sum(level.on_hand - level.reserved)
        + coalesce((SELECT sum(hold.quantity) FROM commerce.stock_reservations AS hold
                    WHERE hold.variant_id = level.variant_id
                      AND hold.status = 'held' AND hold.cart_id IS NOT NULL AND hold.expires_at <= commerce.clock()
                      AND hold.location_id = ANY (ARRAY(SELECT id FROM commerce.stock_locations WHERE active))
                   ), 0))::bigint
           AS available
FROM commerce.stock_levels AS level
WHERE level.location_id = ANY (ARRAY(SELECT id FROM commerce.stock_locations WHERE active))
GROUP BY level.variant_id;

-- A location may have goods of the whole shop. Whether they can be bought changes at once, and search learns it by jobs.
CREATE FUNCTION commerce.product_search_on_location() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO commerce.jobs (id, kind, payload, attempts_max)
    SELECT gen_random_uuid(), 'index_products', jsonb_build_object('product_ids', jsonb_agg(id ORDER BY id)), 20
    FROM (SELECT id, row_number() OVER (ORDER BY id) / 500 AS part
          FROM (SELECT DISTINCT v.product_id AS id
                FROM commerce.stock_levels l JOIN commerce.variants v ON v.id = l.variant_id
                WHERE l.location_id = NEW.id AND l.on_hand > l.reserved) AS goods) AS parts
    GROUP BY part;
    RETURN NULL;
END $$;
CREATE TRIGGER stock_locations_search_update AFTER UPDATE ON commerce.stock_locations
    FOR EACH ROW WHEN (OLD.active <> NEW.active) EXECUTE FUNCTION commerce.product_search_on_location();
