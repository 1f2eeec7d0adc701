-- What a merchant's variant carries, and variants that are sold without being counted, such as services and downloads.

ALTER TABLE commerce.variants
    -- Whether units are counted. A variant that is not is always available, and nothing is reserved of it.
    ADD COLUMN track_inventory boolean NOT NULL DEFAULT true,
    -- The merchant's wish to sell beyond the count. It is kept, and nothing is sold beyond the count.
    ADD COLUMN continue_selling boolean NOT NULL DEFAULT false,
    ADD COLUMN weight_grams integer
        CONSTRAINT variants_weight_grams_check CHECK (weight_grams BETWEEN 0 AND 100000000),
    ADD COLUMN requires_shipping boolean NOT NULL DEFAULT true,
    ADD COLUMN taxable boolean NOT NULL DEFAULT true,
    ADD COLUMN barcode text CONSTRAINT variants_barcode_check CHECK (length(barcode) BETWEEN 1 AND 255),
    -- What a unit costs the merchant, in the currency of the price. For staff alone.
    ADD COLUMN cost_minor bigint CONSTRAINT variants_cost_minor_check CHECK (cost_minor BETWEEN 0 AND 1000000000000),
    -- One of the product's images.
    ADD COLUMN image_id uuid
        CONSTRAINT variants_image_id_fkey REFERENCES commerce.product_images (id) ON DELETE SET NULL;
CREATE INDEX variants_image_id_idx ON commerce.variants (image_id) WHERE image_id IS NOT NULL;

-- Whether the variant was counted when it was ordered, so that units of it were reserved. The variant may change afterwards.
ALTER TABLE commerce.order_lines ADD COLUMN track_inventory boolean NOT NULL DEFAULT true;

-- `available` is NULL for a variant that is not counted. `in_stock` says whether a unit can be bought, counted or not.
CREATE OR REPLACE VIEW commerce.availability AS
SELECT offer.variant_id, offer.product_id, offer.active, offer.for_sale, offer.available,
       NOT offer.track_inventory OR offer.available > 0 AS in_stock, offer.track_inventory
FROM (
    SELECT variant.id AS variant_id, variant.product_id, variant.active, variant.track_inventory,
           commerce.is_for_sale(variant.active, product.status) AS for_sale,
           CASE WHEN variant.track_inventory THEN coalesce(
               (SELECT stock.available FROM commerce.available_stock AS stock WHERE stock.variant_id = variant.id), 0)
           END AS available
    FROM commerce.variants AS variant
    LEFT JOIN commerce.products AS product ON product.id = variant.product_id) AS offer;

CREATE OR REPLACE FUNCTION commerce.is_in_stock(product uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM commerce.availability AS offer
                   WHERE offer.product_id = product AND offer.active AND offer.in_stock)
$$;

CREATE OR REPLACE FUNCTION commerce.product_search_on_changed_variants() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM commerce.touch_product_search(ARRAY(
        SELECT unnest(ARRAY[o.product_id, n.product_id]) FROM old_rows o JOIN new_rows n USING (id)
        WHERE (o.product_id, o.sku, o.options, o.active, o.track_inventory)
              IS DISTINCT FROM (n.product_id, n.sku, n.options, n.active, n.track_inventory)));
    RETURN NULL;
END $$;
