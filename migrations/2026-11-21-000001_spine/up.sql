-- The whole spine: identity, catalogue, stock, carts, orders, money, delivery and the platform tables.
-- Everything lives in schema commerce, so that a host application's own tables stay untouched.

CREATE SCHEMA IF NOT EXISTS commerce;

-- The one clock that decides. `now()` stands still while a transaction waits for a lock, so this is the wall clock
-- at the moment of asking. Tests move time by replacing this function in their own database.
-- STABLE (not VOLATILE) so that a comparison with it can use an index.
CREATE FUNCTION commerce.clock() RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT clock_timestamp()';
CREATE FUNCTION commerce.clock_after(delay interval) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT commerce.clock() + delay';

-- Identity -----------------------------------------------------------------------------------------------------------

CREATE TABLE commerce.users (
    id uuid CONSTRAINT users_pkey PRIMARY KEY,
    email text NOT NULL CONSTRAINT users_email_lower_check CHECK (email = lower(email) AND length(email) <= 254),
    email_verified_at timestamptz,
    password_hash text NOT NULL,
    display_name text NOT NULL CONSTRAINT users_display_name_check CHECK (length(display_name) BETWEEN 1 AND 200),
    role text NOT NULL DEFAULT 'customer'
        CONSTRAINT users_role_check CHECK (role IN ('customer', 'support', 'catalogue_manager', 'fulfilment', 'admin')),
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT users_email_key UNIQUE (email)
);

-- One row a login. Revoking it ends every token that came from it.
CREATE TABLE commerce.sessions (
    id uuid CONSTRAINT sessions_pkey PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT sessions_user_id_fkey REFERENCES commerce.users (id) ON DELETE CASCADE,
    user_agent text,
    ip text,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    last_used_at timestamptz NOT NULL DEFAULT commerce.clock(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoke_reason text
);
CREATE INDEX sessions_user_id_idx ON commerce.sessions (user_id, created_at DESC);
CREATE INDEX sessions_expires_at_idx ON commerce.sessions (expires_at);

-- The rotating tokens of a session; `used_at` is when one was exchanged for its successor.
CREATE TABLE commerce.refresh_tokens (
    token_hash bytea CONSTRAINT refresh_tokens_pkey PRIMARY KEY,
    session_id uuid NOT NULL
        CONSTRAINT refresh_tokens_session_id_fkey REFERENCES commerce.sessions (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    used_at timestamptz
);
CREATE INDEX refresh_tokens_session_id_idx ON commerce.refresh_tokens (session_id);

-- The code itself is stored nowhere: it is derived from the id under a server key, when mailed and when checked.
CREATE TABLE commerce.one_time_codes (
    id uuid CONSTRAINT one_time_codes_pkey PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT one_time_codes_user_id_fkey REFERENCES commerce.users (id) ON DELETE CASCADE,
    purpose text NOT NULL CONSTRAINT one_time_codes_purpose_check
        CHECK (purpose IN ('verify_email', 'reset_password', 'change_email')),
    attempts integer NOT NULL DEFAULT 0 CONSTRAINT one_time_codes_attempts_check CHECK (attempts BETWEEN 0 AND 5),
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    expires_at timestamptz NOT NULL,
    consumed_at timestamptz
);
CREATE INDEX one_time_codes_user_id_idx ON commerce.one_time_codes (user_id, purpose, created_at DESC);
CREATE INDEX one_time_codes_expires_at_idx ON commerce.one_time_codes (expires_at);

-- Catalogue ----------------------------------------------------------------------------------------------------------

CREATE TABLE commerce.categories (
    id uuid CONSTRAINT categories_pkey PRIMARY KEY,
    slug text NOT NULL CONSTRAINT categories_slug_check CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 120),
    title text NOT NULL CONSTRAINT categories_title_check CHECK (length(title) BETWEEN 1 AND 200),
    description text NOT NULL DEFAULT '',
    position integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT categories_slug_key UNIQUE (slug)
);
CREATE INDEX categories_position_idx ON commerce.categories (position, id);

CREATE TABLE commerce.products (
    id uuid CONSTRAINT products_pkey PRIMARY KEY,
    slug text NOT NULL CONSTRAINT products_slug_check CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 255),
    title text NOT NULL CONSTRAINT products_title_check CHECK (length(title) BETWEEN 1 AND 255),
    -- HTML, sanitised when written.
    description text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'draft'
        CONSTRAINT products_status_check CHECK (status IN ('draft', 'active', 'archived')),
    -- Free key/value pairs: vendor, type, tags and whatever a merchant adds.
    attributes jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT products_attributes_check CHECK (jsonb_typeof(attributes) = 'object'),
    -- Names of the options in order, such as ["Size", "Color"].
    option_names jsonb NOT NULL DEFAULT '[]'
        CONSTRAINT products_option_names_check CHECK (jsonb_typeof(option_names) = 'array'),
    -- The lowest price among active variants: the catalogue keeps it, so that a list can sort by it on an index.
    price_from_minor bigint CONSTRAINT products_price_from_minor_check CHECK (price_from_minor >= 0),
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT products_slug_key UNIQUE (slug)
);
CREATE INDEX products_created_at_idx ON commerce.products (created_at, id);
CREATE INDEX products_active_created_at_idx ON commerce.products (created_at, id) WHERE status = 'active';
CREATE INDEX products_active_price_idx ON commerce.products (price_from_minor, id) WHERE status = 'active';
-- Without a price a product comes last in both orders, which takes an index of its own.
CREATE INDEX products_active_price_descending_idx ON commerce.products (price_from_minor DESC NULLS LAST, id DESC)
    WHERE status = 'active';
CREATE INDEX products_active_title_idx ON commerce.products (title, id) WHERE status = 'active';

CREATE TABLE commerce.product_categories (
    product_id uuid NOT NULL
        CONSTRAINT product_categories_product_id_fkey REFERENCES commerce.products (id) ON DELETE CASCADE,
    category_id uuid NOT NULL
        CONSTRAINT product_categories_category_id_fkey REFERENCES commerce.categories (id) ON DELETE CASCADE,
    CONSTRAINT product_categories_pkey PRIMARY KEY (product_id, category_id)
);
CREATE INDEX product_categories_category_id_idx ON commerce.product_categories (category_id, product_id);

CREATE TABLE commerce.product_images (
    id uuid CONSTRAINT product_images_pkey PRIMARY KEY,
    product_id uuid NOT NULL
        CONSTRAINT product_images_product_id_fkey REFERENCES commerce.products (id) ON DELETE CASCADE,
    url text NOT NULL CONSTRAINT product_images_url_check CHECK (length(url) BETWEEN 1 AND 2048),
    alt text NOT NULL DEFAULT '',
    position integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT product_images_url_key UNIQUE (product_id, url)
);
CREATE INDEX product_images_product_id_idx ON commerce.product_images (product_id, position, id);

CREATE TABLE commerce.variants (
    id uuid CONSTRAINT variants_pkey PRIMARY KEY,
    product_id uuid NOT NULL CONSTRAINT variants_product_id_fkey REFERENCES commerce.products (id) ON DELETE CASCADE,
    sku text CONSTRAINT variants_sku_check CHECK (length(sku) BETWEEN 1 AND 100),
    title text NOT NULL CONSTRAINT variants_title_check CHECK (length(title) BETWEEN 1 AND 255),
    -- Chosen value by option name, such as {"Size": "Small"}; empty for the one variant of a simple product.
    options jsonb NOT NULL DEFAULT '{}' CONSTRAINT variants_options_check CHECK (jsonb_typeof(options) = 'object'),
    price_minor bigint NOT NULL CONSTRAINT variants_price_minor_check CHECK (price_minor BETWEEN 0 AND 1000000000000),
    compare_at_minor bigint
        CONSTRAINT variants_compare_at_minor_check CHECK (compare_at_minor BETWEEN 0 AND 1000000000000),
    currency text NOT NULL CONSTRAINT variants_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    active boolean NOT NULL DEFAULT true,
    position integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT variants_sku_key UNIQUE (sku),
    CONSTRAINT variants_options_key UNIQUE (product_id, options)
);
CREATE INDEX variants_product_id_idx ON commerce.variants (product_id, position, id);

-- Stock --------------------------------------------------------------------------------------------------------------

CREATE TABLE commerce.stock_locations (
    id uuid CONSTRAINT stock_locations_pkey PRIMARY KEY,
    code text NOT NULL CONSTRAINT stock_locations_code_check CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name text NOT NULL,
    -- Lower is asked first.
    priority integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT stock_locations_code_key UNIQUE (code),
    CONSTRAINT stock_locations_priority_key UNIQUE (priority)
);
INSERT INTO commerce.stock_locations (id, code, name, priority)
VALUES ('00000000-0000-7000-8000-000000000001', 'main', 'Main location', 1);

-- available = on_hand - reserved
CREATE TABLE commerce.stock_levels (
    variant_id uuid NOT NULL CONSTRAINT stock_levels_variant_id_fkey REFERENCES commerce.variants (id),
    location_id uuid NOT NULL CONSTRAINT stock_levels_location_id_fkey REFERENCES commerce.stock_locations (id),
    on_hand bigint NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT stock_levels_pkey PRIMARY KEY (variant_id, location_id),
    CONSTRAINT stock_levels_quantities_check CHECK (on_hand >= 0 AND reserved >= 0 AND reserved <= on_hand)
) WITH (fillfactor = 70);
CREATE INDEX stock_levels_location_id_idx ON commerce.stock_levels (location_id, variant_id);

-- Carts --------------------------------------------------------------------------------------------------------------

CREATE TABLE commerce.carts (
    id uuid CONSTRAINT carts_pkey PRIMARY KEY,
    user_id uuid CONSTRAINT carts_user_id_fkey REFERENCES commerce.users (id),
    -- SHA-256 of a guest's Cart-Token.
    token_hash bytea CONSTRAINT carts_token_hash_check CHECK (length(token_hash) = 32),
    status text NOT NULL DEFAULT 'open' CONSTRAINT carts_status_check CHECK (status IN ('open', 'ordered', 'merged')),
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT carts_owner_check CHECK (num_nonnulls(user_id, token_hash) = 1)
);
CREATE UNIQUE INDEX carts_open_user_id_key ON commerce.carts (user_id) WHERE status = 'open';
CREATE UNIQUE INDEX carts_open_token_hash_key ON commerce.carts (token_hash) WHERE status = 'open';
CREATE INDEX carts_user_id_idx ON commerce.carts (user_id);
CREATE INDEX carts_open_updated_at_idx ON commerce.carts (updated_at) WHERE status = 'open';

CREATE TABLE commerce.cart_items (
    cart_id uuid NOT NULL CONSTRAINT cart_items_cart_id_fkey REFERENCES commerce.carts (id) ON DELETE CASCADE,
    variant_id uuid NOT NULL CONSTRAINT cart_items_variant_id_fkey REFERENCES commerce.variants (id),
    quantity bigint NOT NULL CONSTRAINT cart_items_quantity_check CHECK (quantity BETWEEN 1 AND 1000),
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT cart_items_pkey PRIMARY KEY (cart_id, variant_id)
);
CREATE INDEX cart_items_variant_id_idx ON commerce.cart_items (variant_id);

-- Orders -------------------------------------------------------------------------------------------------------------

CREATE SEQUENCE commerce.order_numbers START 1001;

CREATE TABLE commerce.orders (
    id uuid CONSTRAINT orders_pkey PRIMARY KEY,
    number bigint NOT NULL DEFAULT nextval('commerce.order_numbers'),
    cart_id uuid NOT NULL CONSTRAINT orders_cart_id_fkey REFERENCES commerce.carts (id),
    user_id uuid CONSTRAINT orders_user_id_fkey REFERENCES commerce.users (id),
    -- SHA-256 of the Cart-Token that placed it: it reads the order for 30 days.
    token_hash bytea CONSTRAINT orders_token_hash_check CHECK (length(token_hash) = 32),
    email text NOT NULL CONSTRAINT orders_email_check CHECK (length(email) BETWEEN 3 AND 254),
    status text NOT NULL DEFAULT 'pending_payment' CONSTRAINT orders_status_check
        CHECK (status IN ('pending_payment', 'paid', 'processing', 'shipped', 'delivered', 'cancelled')),
    payment_status text NOT NULL DEFAULT 'unpaid' CONSTRAINT orders_payment_status_check
        CHECK (payment_status IN ('unpaid', 'partially_paid', 'paid', 'overpaid', 'partially_refunded', 'refunded')),
    fulfillment_status text NOT NULL DEFAULT 'unfulfilled' CONSTRAINT orders_fulfillment_status_check
        CHECK (fulfillment_status IN ('unfulfilled', 'partial', 'fulfilled', 'delivered', 'returned')),
    currency text NOT NULL CONSTRAINT orders_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    subtotal_minor bigint NOT NULL,
    discount_minor bigint NOT NULL DEFAULT 0,
    shipping_minor bigint NOT NULL DEFAULT 0,
    tax_minor bigint NOT NULL DEFAULT 0,
    total_minor bigint NOT NULL,
    -- Sums over succeeded payments and succeeded refunds.
    paid_minor bigint NOT NULL DEFAULT 0,
    refunded_minor bigint NOT NULL DEFAULT 0,
    shipping_address jsonb NOT NULL,
    billing_address jsonb,
    cancel_reason text CONSTRAINT orders_cancel_reason_check
        CHECK (cancel_reason IN ('expired', 'payment_failed', 'customer', 'admin')),
    placed_at timestamptz NOT NULL DEFAULT commerce.clock(),
    expires_at timestamptz,
    paid_at timestamptz,
    cancelled_at timestamptz,
    stock_released_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT orders_number_key UNIQUE (number),
    CONSTRAINT orders_cart_id_key UNIQUE (cart_id),
    CONSTRAINT orders_owner_check CHECK (num_nonnulls(user_id, token_hash) = 1),
    CONSTRAINT orders_amounts_check CHECK (
        subtotal_minor >= 0 AND discount_minor >= 0 AND shipping_minor >= 0 AND tax_minor >= 0
        AND total_minor = subtotal_minor - discount_minor + shipping_minor + tax_minor
        AND total_minor >= 0 AND paid_minor >= 0 AND refunded_minor BETWEEN 0 AND paid_minor),
    -- Paid is one-way: once the total was covered, `paid_at` stays.
    CONSTRAINT orders_paid_at_check CHECK ((paid_at IS NOT NULL) = (paid_minor >= total_minor)),
    CONSTRAINT orders_pending_check CHECK (status <> 'pending_payment' OR (expires_at IS NOT NULL AND paid_at IS NULL)),
    CONSTRAINT orders_cancelled_check
        CHECK ((status = 'cancelled') = (cancel_reason IS NOT NULL) AND (status = 'cancelled') = (cancelled_at IS NOT NULL))
);
CREATE INDEX orders_user_id_idx ON commerce.orders (user_id, placed_at DESC, id DESC);
CREATE INDEX orders_token_hash_idx ON commerce.orders (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX orders_placed_at_idx ON commerce.orders (placed_at DESC, id DESC);
CREATE INDEX orders_status_idx ON commerce.orders (status, placed_at DESC, id DESC);
CREATE INDEX orders_total_idx ON commerce.orders (total_minor, id);
CREATE INDEX orders_email_idx ON commerce.orders (email);
CREATE INDEX orders_pending_expires_at_idx ON commerce.orders (expires_at) WHERE status = 'pending_payment';

-- Snapshots: what was bought, at which price, whatever becomes of the catalogue.
CREATE TABLE commerce.order_lines (
    id uuid CONSTRAINT order_lines_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT order_lines_order_id_fkey REFERENCES commerce.orders (id),
    variant_id uuid NOT NULL CONSTRAINT order_lines_variant_id_fkey REFERENCES commerce.variants (id),
    position integer NOT NULL,
    sku text,
    title text NOT NULL,
    quantity bigint NOT NULL CONSTRAINT order_lines_quantity_check CHECK (quantity > 0),
    unit_price_minor bigint NOT NULL CONSTRAINT order_lines_unit_price_check CHECK (unit_price_minor >= 0),
    line_total_minor bigint NOT NULL,
    shipped_quantity bigint NOT NULL DEFAULT 0,
    CONSTRAINT order_lines_position_key UNIQUE (order_id, position),
    CONSTRAINT order_lines_line_total_check CHECK (line_total_minor = unit_price_minor * quantity),
    CONSTRAINT order_lines_shipped_check CHECK (shipped_quantity BETWEEN 0 AND quantity)
);
CREATE INDEX order_lines_variant_id_idx ON commerce.order_lines (variant_id);

-- The timeline of an order: one row a thing that happened to it. Append-only.
CREATE TABLE commerce.order_events (
    id uuid CONSTRAINT order_events_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT order_events_order_id_fkey REFERENCES commerce.orders (id),
    kind text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    -- Who did it: 'user:<id>', 'guest' or 'system'.
    actor text NOT NULL,
    request_id text,
    created_at timestamptz NOT NULL DEFAULT commerce.clock()
);
CREATE INDEX order_events_order_id_idx ON commerce.order_events (order_id, created_at, id);

-- Stock that is spoken for: by a cart (a hold with a TTL) or by an order.
CREATE TABLE commerce.stock_reservations (
    id uuid CONSTRAINT stock_reservations_pkey PRIMARY KEY,
    variant_id uuid NOT NULL,
    location_id uuid NOT NULL,
    quantity bigint NOT NULL CONSTRAINT stock_reservations_quantity_check CHECK (quantity > 0),
    status text NOT NULL CONSTRAINT stock_reservations_status_check
        CHECK (status IN ('held', 'committed', 'consumed', 'released', 'expired')),
    cart_id uuid CONSTRAINT stock_reservations_cart_id_fkey REFERENCES commerce.carts (id),
    order_id uuid CONSTRAINT stock_reservations_order_id_fkey REFERENCES commerce.orders (id),
    -- When a cart's hold lapses; an order's reservation ends with its order.
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT stock_reservations_level_fkey FOREIGN KEY (variant_id, location_id)
        REFERENCES commerce.stock_levels (variant_id, location_id),
    CONSTRAINT stock_reservations_owner_check CHECK (num_nonnulls(cart_id, order_id) = 1),
    CONSTRAINT stock_reservations_expires_at_check CHECK ((cart_id IS NOT NULL) = (expires_at IS NOT NULL))
);
CREATE INDEX stock_reservations_order_id_idx ON commerce.stock_reservations (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX stock_reservations_cart_id_idx ON commerce.stock_reservations (cart_id) WHERE cart_id IS NOT NULL;
CREATE INDEX stock_reservations_level_idx ON commerce.stock_reservations (variant_id, location_id);
CREATE INDEX stock_reservations_held_idx ON commerce.stock_reservations (expires_at)
    WHERE status = 'held' AND cart_id IS NOT NULL;

-- The ledger: every change of a level. The level is the sum of its movements. Append-only.
CREATE TABLE commerce.stock_movements (
    id uuid CONSTRAINT stock_movements_pkey PRIMARY KEY,
    variant_id uuid NOT NULL,
    location_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT stock_movements_kind_check
        CHECK (kind IN ('adjust', 'reserve', 'release', 'consume')),
    on_hand_delta bigint NOT NULL,
    reserved_delta bigint NOT NULL,
    reason text,
    reservation_id uuid,
    order_id uuid CONSTRAINT stock_movements_order_id_fkey REFERENCES commerce.orders (id),
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT stock_movements_level_fkey FOREIGN KEY (variant_id, location_id)
        REFERENCES commerce.stock_levels (variant_id, location_id)
);
CREATE INDEX stock_movements_level_idx ON commerce.stock_movements (variant_id, location_id, created_at DESC, id DESC);
CREATE INDEX stock_movements_order_id_idx ON commerce.stock_movements (order_id) WHERE order_id IS NOT NULL;

-- Money --------------------------------------------------------------------------------------------------------------

-- One row an attempt; an order may have several.
CREATE TABLE commerce.payments (
    id uuid CONSTRAINT payments_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT payments_order_id_fkey REFERENCES commerce.orders (id),
    provider text NOT NULL CONSTRAINT payments_provider_check CHECK (provider IN ('mock', 'stripe', 'razorpay', 'manual')),
    provider_reference text,
    -- What the shopper's client asked of the provider, such as {"outcome": "succeed"} of the mock.
    request jsonb NOT NULL DEFAULT '{}',
    amount_minor bigint NOT NULL CONSTRAINT payments_amount_minor_check CHECK (amount_minor > 0),
    refunded_minor bigint NOT NULL DEFAULT 0,
    currency text NOT NULL CONSTRAINT payments_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    status text NOT NULL DEFAULT 'pending' CONSTRAINT payments_status_check
        CHECK (status IN ('pending', 'requires_action', 'processing', 'succeeded', 'failed', 'expired', 'cancelled',
                          'partially_refunded', 'refunded')),
    failure_code text,
    -- What the shopper must do, while status is requires_action.
    action jsonb,
    -- The idempotency scope that began this attempt: the same request finds and resumes it.
    request_key bytea CONSTRAINT payments_request_key_check CHECK (length(request_key) = 32),
    -- Set once, when the money counted towards the order.
    succeeded_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT payments_request_key_key UNIQUE (request_key),
    CONSTRAINT payments_provider_reference_key UNIQUE (provider, provider_reference),
    CONSTRAINT payments_refunded_check CHECK (refunded_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT payments_succeeded_at_check
        CHECK ((succeeded_at IS NOT NULL) = (status IN ('succeeded', 'partially_refunded', 'refunded')))
);
CREATE INDEX payments_order_id_idx ON commerce.payments (order_id, created_at, id);
CREATE INDEX payments_open_idx ON commerce.payments (created_at) WHERE status IN ('pending', 'requires_action', 'processing');

CREATE TABLE commerce.refunds (
    id uuid CONSTRAINT refunds_pkey PRIMARY KEY,
    payment_id uuid NOT NULL CONSTRAINT refunds_payment_id_fkey REFERENCES commerce.payments (id),
    order_id uuid NOT NULL CONSTRAINT refunds_order_id_fkey REFERENCES commerce.orders (id),
    amount_minor bigint NOT NULL CONSTRAINT refunds_amount_minor_check CHECK (amount_minor > 0),
    reason text NOT NULL CONSTRAINT refunds_reason_check CHECK (reason IN ('order_cancelled', 'excess', 'late_payment')),
    status text NOT NULL DEFAULT 'pending' CONSTRAINT refunds_status_check
        CHECK (status IN ('pending', 'succeeded', 'failed')),
    provider_reference text,
    failure_code text,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    -- One automatic refund a payment and reason: this is what makes it exactly once.
    CONSTRAINT refunds_reason_key UNIQUE (payment_id, reason)
);
CREATE INDEX refunds_order_id_idx ON commerce.refunds (order_id);
CREATE INDEX refunds_pending_idx ON commerce.refunds (created_at) WHERE status = 'pending';

-- Delivery -----------------------------------------------------------------------------------------------------------

CREATE TABLE commerce.shipments (
    id uuid CONSTRAINT shipments_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT shipments_order_id_fkey REFERENCES commerce.orders (id),
    status text NOT NULL CONSTRAINT shipments_status_check
        CHECK (status IN ('pending', 'shipped', 'in_transit', 'out_for_delivery', 'delivered', 'failed_attempt',
                          'returned', 'cancelled')),
    carrier text,
    tracking_number text,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    shipped_at timestamptz,
    delivered_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT shipments_tracking_number_key UNIQUE (tracking_number)
);
CREATE INDEX shipments_order_id_idx ON commerce.shipments (order_id);

CREATE TABLE commerce.shipment_lines (
    shipment_id uuid NOT NULL
        CONSTRAINT shipment_lines_shipment_id_fkey REFERENCES commerce.shipments (id),
    order_line_id uuid NOT NULL
        CONSTRAINT shipment_lines_order_line_id_fkey REFERENCES commerce.order_lines (id),
    quantity bigint NOT NULL CONSTRAINT shipment_lines_quantity_check CHECK (quantity > 0),
    CONSTRAINT shipment_lines_pkey PRIMARY KEY (shipment_id, order_line_id)
);
CREATE INDEX shipment_lines_order_line_id_idx ON commerce.shipment_lines (order_line_id);

-- Platform -----------------------------------------------------------------------------------------------------------

-- Work to be done after commit. A row is gone when its work is done: the deletion is in the same transaction as the
-- effect. `run_at` is when the row may be claimed: for a leased one, when its lease lapses.
CREATE TABLE commerce.jobs (
    id uuid CONSTRAINT jobs_pkey PRIMARY KEY,
    kind text NOT NULL CONSTRAINT jobs_kind_check CHECK (kind ~ '^[a-z][a-z0-9_]*$' AND length(kind) <= 100),
    payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'ready' CONSTRAINT jobs_state_check CHECK (state IN ('ready', 'leased', 'dead')),
    run_at timestamptz NOT NULL DEFAULT commerce.clock(),
    attempt integer NOT NULL DEFAULT 0,
    attempts_max integer NOT NULL CONSTRAINT jobs_attempts_max_check CHECK (attempts_max BETWEEN 1 AND 100),
    lease_token uuid,
    worker text,
    last_error text,
    -- At most one live job a key.
    dedupe_key text,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT jobs_dedupe_key_key UNIQUE (dedupe_key),
    CONSTRAINT jobs_lease_check CHECK ((state = 'leased') = (lease_token IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX jobs_run_at_idx ON commerce.jobs (run_at, id) WHERE state <> 'dead';
CREATE INDEX jobs_state_idx ON commerce.jobs (state, created_at, id);

-- The stored 2xx answer of a request, written in the transaction of its effect.
CREATE TABLE commerce.idempotency_keys (
    -- SHA-256 over caller, method, path and key.
    scope bytea CONSTRAINT idempotency_keys_pkey PRIMARY KEY
        CONSTRAINT idempotency_keys_scope_check CHECK (length(scope) = 32),
    -- SHA-256 over the request body.
    fingerprint bytea NOT NULL CONSTRAINT idempotency_keys_fingerprint_check CHECK (length(fingerprint) = 32),
    response jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX idempotency_keys_expires_at_idx ON commerce.idempotency_keys (expires_at);

-- Mails to be sent or sent. The dedupe key says which event a mail tells of: one mail an event.
CREATE TABLE commerce.emails (
    id uuid CONSTRAINT emails_pkey PRIMARY KEY,
    dedupe_key text NOT NULL,
    template text NOT NULL,
    recipient text NOT NULL,
    -- Ids and plain facts that the template needs; never a secret.
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    sent_at timestamptz,
    CONSTRAINT emails_dedupe_key_key UNIQUE (dedupe_key)
);
CREATE INDEX emails_created_at_idx ON commerce.emails (created_at);
