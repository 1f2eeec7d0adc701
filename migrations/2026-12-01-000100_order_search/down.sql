DROP INDEX commerce.orders_cancel_reason_idx;
DROP INDEX commerce.orders_fulfillment_status_idx;
DROP INDEX commerce.orders_payment_status_idx;
CREATE INDEX orders_email_idx ON commerce.orders (email);
DROP TRIGGER shipments_tracking_number ON commerce.shipments;
DROP FUNCTION commerce.index_tracking_number();
DROP TABLE commerce.order_search;
DROP FUNCTION commerce.order_query(text);
DROP FUNCTION commerce.order_document(text, text[]);
