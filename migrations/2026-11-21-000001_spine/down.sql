DROP TABLE
    commerce.emails,
    commerce.idempotency_keys,
    commerce.jobs,
    commerce.shipment_lines,
    commerce.shipments,
    commerce.refunds,
    commerce.payments,
    commerce.stock_movements,
    commerce.stock_reservations,
    commerce.order_events,
    commerce.order_lines,
    commerce.orders,
    commerce.cart_items,
    commerce.carts,
    commerce.stock_levels,
    commerce.stock_locations,
    commerce.variants,
    commerce.product_images,
    commerce.product_categories,
    commerce.products,
    commerce.categories,
    commerce.one_time_codes,
    commerce.refresh_tokens,
    commerce.sessions,
    commerce.users;
DROP SEQUENCE commerce.order_numbers;
DROP FUNCTION commerce.clock_after(interval);
DROP FUNCTION commerce.clock();
