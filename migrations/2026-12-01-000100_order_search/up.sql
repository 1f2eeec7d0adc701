-- Staff find orders by what is known of them, and filter them by rare statuses, however many orders there are.

-- The words of an order: its number, e-mail address, names, SKUs and tracking numbers. A table of its own, because a change of an
-- order writes every index of `orders` anew, and none of these words. No foreign key, which would write the order's row
-- once more at checkout.
CREATE TABLE commerce.order_search (
    order_id uuid CONSTRAINT order_search_pkey PRIMARY KEY,
    document tsvector NOT NULL
);

-- The words of texts as one document. A SKU or a number with signs in it is also found without them. Of a new order the program
-- computes the same words, because regular expressions would be a part of every checkout.
CREATE FUNCTION commerce.order_document(texts text, codes text[]) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_to_tsvector(array_remove(string_to_array(
        concat_ws(' ', commerce.search_query(concat_ws(' ', texts, array_to_string(codes, ' '))),
                  lower(regexp_replace(array_to_string(codes, ' '), '[^[:alnum:] ]+', '', 'g'))), ' '), ''))
$$;

-- What staff type: each word is the beginning of a word of the order, and a number is a whole number. NULL if there is no word.
CREATE FUNCTION commerce.order_query(given text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_agg('''' || word || CASE WHEN word ~ '^[0-9]+$' THEN '''' ELSE ''':*' END, ' & ')::tsquery
    FROM unnest((string_to_array(commerce.search_query(given), ' '))[1:10]) AS word
    WHERE word <> ''
$$;

INSERT INTO commerce.order_search (order_id, document)
SELECT o.id, commerce.order_document(
    concat_ws(' ', o.number, o.email, o.shipping_address ->> 'name', o.billing_address ->> 'name'),
    coalesce((SELECT array_agg(l.sku) FROM commerce.order_lines l WHERE l.order_id = o.id AND l.sku IS NOT NULL), '{}')
    || coalesce((SELECT array_agg(s.tracking_number) FROM commerce.shipments s
                 WHERE s.order_id = o.id AND s.tracking_number IS NOT NULL), '{}'))
FROM commerce.orders o;

-- New words wait in a short list, so that a checkout writes few pages. Whoever fills it sorts it in, which takes some milliseconds.
CREATE INDEX order_search_document_idx ON commerce.order_search USING gin (document)
    WITH (fastupdate = on, gin_pending_list_limit = 256);

-- A shipment is written under the lock of its order. A number that was replaced still finds the order.
CREATE FUNCTION commerce.index_tracking_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE commerce.order_search
    SET document = document || commerce.order_document('', ARRAY[NEW.tracking_number])
    WHERE order_id = NEW.order_id;
    RETURN NULL;
END $$;
CREATE TRIGGER shipments_tracking_number AFTER INSERT OR UPDATE OF tracking_number ON commerce.shipments
    FOR EACH ROW WHEN (NEW.tracking_number IS NOT NULL) EXECUTE FUNCTION commerce.index_tracking_number();

-- Nothing looks for an order by the whole address.
DROP INDEX commerce.orders_email_idx;

-- Rare statuses. No new order has one of them, so that no checkout writes these indexes.
CREATE INDEX orders_payment_status_idx ON commerce.orders (payment_status, placed_at DESC, id DESC)
    WHERE payment_status NOT IN ('unpaid', 'paid');
CREATE INDEX orders_fulfillment_status_idx ON commerce.orders (fulfillment_status, placed_at DESC, id DESC)
    WHERE fulfillment_status <> 'unfulfilled';
CREATE INDEX orders_cancel_reason_idx ON commerce.orders (cancel_reason, placed_at DESC, id DESC)
    WHERE cancel_reason IS NOT NULL;
