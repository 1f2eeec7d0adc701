// Written by `cargo xtask schema` from migrations/. Never edited by hand.

diesel::table! {
    commerce.cart_items (cart_id, variant_id) {
        cart_id -> Uuid,
        variant_id -> Uuid,
        quantity -> Int8,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.carts (id) {
        id -> Uuid,
        user_id -> Nullable<Uuid>,
        token_hash -> Nullable<Bytea>,
        status -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.categories (id) {
        id -> Uuid,
        slug -> Text,
        title -> Text,
        description -> Text,
        position -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        version -> Int4,
    }
}

diesel::table! {
    commerce.emails (id) {
        id -> Uuid,
        dedupe_key -> Text,
        template -> Text,
        recipient -> Text,
        data -> Jsonb,
        created_at -> Timestamptz,
        sent_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    commerce.idempotency_keys (scope) {
        scope -> Bytea,
        fingerprint -> Bytea,
        response -> Jsonb,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.jobs (id) {
        id -> Uuid,
        kind -> Text,
        payload -> Jsonb,
        state -> Text,
        run_at -> Timestamptz,
        attempt -> Int4,
        attempts_max -> Int4,
        lease_token -> Nullable<Uuid>,
        worker -> Nullable<Text>,
        last_error -> Nullable<Text>,
        dedupe_key -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.one_time_codes (id) {
        id -> Uuid,
        user_id -> Uuid,
        purpose -> Text,
        attempts -> Int4,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        consumed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    commerce.order_events (id) {
        id -> Uuid,
        order_id -> Uuid,
        kind -> Text,
        data -> Jsonb,
        actor -> Text,
        request_id -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.order_lines (id) {
        id -> Uuid,
        order_id -> Uuid,
        variant_id -> Uuid,
        position -> Int4,
        sku -> Nullable<Text>,
        title -> Text,
        quantity -> Int8,
        unit_price_minor -> Int8,
        line_total_minor -> Int8,
        shipped_quantity -> Int8,
    }
}

diesel::table! {
    commerce.orders (id) {
        id -> Uuid,
        number -> Int8,
        cart_id -> Uuid,
        user_id -> Nullable<Uuid>,
        token_hash -> Nullable<Bytea>,
        email -> Text,
        status -> Text,
        payment_status -> Text,
        fulfillment_status -> Text,
        currency -> Text,
        subtotal_minor -> Int8,
        discount_minor -> Int8,
        shipping_minor -> Int8,
        tax_minor -> Int8,
        total_minor -> Int8,
        paid_minor -> Int8,
        refunded_minor -> Int8,
        shipping_address -> Jsonb,
        billing_address -> Nullable<Jsonb>,
        cancel_reason -> Nullable<Text>,
        placed_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        paid_at -> Nullable<Timestamptz>,
        cancelled_at -> Nullable<Timestamptz>,
        stock_released_at -> Nullable<Timestamptz>,
        updated_at -> Timestamptz,
        version -> Int4,
    }
}

diesel::table! {
    commerce.payments (id) {
        id -> Uuid,
        order_id -> Uuid,
        provider -> Text,
        provider_reference -> Nullable<Text>,
        request -> Jsonb,
        amount_minor -> Int8,
        refunded_minor -> Int8,
        currency -> Text,
        status -> Text,
        failure_code -> Nullable<Text>,
        action -> Nullable<Jsonb>,
        request_key -> Nullable<Bytea>,
        succeeded_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.product_categories (product_id, category_id) {
        product_id -> Uuid,
        category_id -> Uuid,
    }
}

diesel::table! {
    commerce.product_images (id) {
        id -> Uuid,
        product_id -> Uuid,
        url -> Text,
        alt -> Text,
        position -> Int4,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.products (id) {
        id -> Uuid,
        slug -> Text,
        title -> Text,
        description -> Text,
        status -> Text,
        attributes -> Jsonb,
        option_names -> Jsonb,
        price_from_minor -> Nullable<Int8>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        version -> Int4,
    }
}

diesel::table! {
    commerce.refresh_tokens (token_hash) {
        token_hash -> Bytea,
        session_id -> Uuid,
        created_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    commerce.refunds (id) {
        id -> Uuid,
        payment_id -> Uuid,
        order_id -> Uuid,
        amount_minor -> Int8,
        reason -> Text,
        status -> Text,
        provider_reference -> Nullable<Text>,
        failure_code -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        user_agent -> Nullable<Text>,
        ip -> Nullable<Text>,
        created_at -> Timestamptz,
        last_used_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        revoke_reason -> Nullable<Text>,
    }
}

diesel::table! {
    commerce.shipment_lines (shipment_id, order_line_id) {
        shipment_id -> Uuid,
        order_line_id -> Uuid,
        quantity -> Int8,
    }
}

diesel::table! {
    commerce.shipments (id) {
        id -> Uuid,
        order_id -> Uuid,
        status -> Text,
        carrier -> Nullable<Text>,
        tracking_number -> Nullable<Text>,
        created_at -> Timestamptz,
        shipped_at -> Nullable<Timestamptz>,
        delivered_at -> Nullable<Timestamptz>,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.stock_levels (variant_id, location_id) {
        variant_id -> Uuid,
        location_id -> Uuid,
        on_hand -> Int8,
        reserved -> Int8,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.stock_locations (id) {
        id -> Uuid,
        code -> Text,
        name -> Text,
        priority -> Int4,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.stock_movements (id) {
        id -> Uuid,
        variant_id -> Uuid,
        location_id -> Uuid,
        kind -> Text,
        on_hand_delta -> Int8,
        reserved_delta -> Int8,
        reason -> Nullable<Text>,
        reservation_id -> Nullable<Uuid>,
        order_id -> Nullable<Uuid>,
        actor -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.stock_reservations (id) {
        id -> Uuid,
        variant_id -> Uuid,
        location_id -> Uuid,
        quantity -> Int8,
        status -> Text,
        cart_id -> Nullable<Uuid>,
        order_id -> Nullable<Uuid>,
        expires_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    commerce.users (id) {
        id -> Uuid,
        email -> Text,
        email_verified_at -> Nullable<Timestamptz>,
        password_hash -> Text,
        display_name -> Text,
        role -> Text,
        disabled_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        version -> Int4,
    }
}

diesel::table! {
    commerce.variants (id) {
        id -> Uuid,
        product_id -> Uuid,
        sku -> Nullable<Text>,
        title -> Text,
        options -> Jsonb,
        price_minor -> Int8,
        compare_at_minor -> Nullable<Int8>,
        currency -> Text,
        active -> Bool,
        position -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::joinable!(cart_items -> carts (cart_id));
diesel::joinable!(cart_items -> variants (variant_id));
diesel::joinable!(carts -> users (user_id));
diesel::joinable!(one_time_codes -> users (user_id));
diesel::joinable!(order_events -> orders (order_id));
diesel::joinable!(order_lines -> orders (order_id));
diesel::joinable!(order_lines -> variants (variant_id));
diesel::joinable!(orders -> carts (cart_id));
diesel::joinable!(orders -> users (user_id));
diesel::joinable!(payments -> orders (order_id));
diesel::joinable!(product_categories -> categories (category_id));
diesel::joinable!(product_categories -> products (product_id));
diesel::joinable!(product_images -> products (product_id));
diesel::joinable!(refresh_tokens -> sessions (session_id));
diesel::joinable!(refunds -> orders (order_id));
diesel::joinable!(refunds -> payments (payment_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(shipment_lines -> order_lines (order_line_id));
diesel::joinable!(shipment_lines -> shipments (shipment_id));
diesel::joinable!(shipments -> orders (order_id));
diesel::joinable!(stock_levels -> stock_locations (location_id));
diesel::joinable!(stock_levels -> variants (variant_id));
diesel::joinable!(stock_movements -> orders (order_id));
diesel::joinable!(stock_reservations -> carts (cart_id));
diesel::joinable!(stock_reservations -> orders (order_id));
diesel::joinable!(variants -> products (product_id));

diesel::allow_tables_to_appear_in_same_query!(
    cart_items,
    carts,
    categories,
    emails,
    idempotency_keys,
    jobs,
    one_time_codes,
    order_events,
    order_lines,
    orders,
    payments,
    product_categories,
    product_images,
    products,
    refresh_tokens,
    refunds,
    sessions,
    shipment_lines,
    shipments,
    stock_levels,
    stock_locations,
    stock_movements,
    stock_reservations,
    users,
    variants
);
