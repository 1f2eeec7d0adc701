//! A thousand things in stock, and carts that are full and wait to be checked out.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use commerce_api::http::cart_token::CartTokens;
use commerce_core::accounts::SecretKey;
use commerce_core::cart::TokenHash;
use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Bytea};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

pub const SKUS: i64 = 1000;

/// The secret of the servers that are measured.
pub const SECRET: &str = "bm90LWEtc2VjcmV0LWJ1dC1sb25nLWVub3VnaC1mb3ItYS1iZW5jaA==";

/// Where the demand goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Evenly over a thousand SKUs.
    Wide,
    /// All at one SKU: the same row for everybody.
    OneSku,
}

impl Spread {
    /// Over how many SKUs.
    pub fn skus(self) -> i64 {
        match self {
            Self::Wide => SKUS,
            Self::OneSku => 1,
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Spread::Wide => "1,000 SKUs",
            Spread::OneSku => "one SKU",
        })
    }
}

/// Full carts with the numbers `first..first + each * clients`; a client takes `each` of them in turn. The guest's token of a cart
/// is [`token`] of its number, or [`floor_token`] if pgbench checks it out.
pub struct Carts {
    pub first: i64,
    pub each: i64,
    pub clients: usize,
    pub spread: Spread,
}

/// The token that commerce-api would have made.
pub fn token(tokens: &CartTokens, number: i64) -> String {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    tokens.issue_for(bytes)
}

/// What the server of a benchmark makes tokens with.
pub fn cart_tokens() -> Result<CartTokens> {
    Ok(CartTokens::new(&SecretKey::parse(SECRET)?))
}

/// The token that the script of pgbench computes.
fn floor_token(number: i64) -> String {
    format!("bench-cart-token-{number}")
}

pub async fn stock_shelves(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute(&format!(
        "CREATE FUNCTION public.bench_id(kind text, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
             AS $$ SELECT ('0190000' || kind || '-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid $$;
         CREATE SEQUENCE public.bench_carts;
         INSERT INTO commerce.products (id, slug, title, status, price_from_minor)
             SELECT bench_id('1', n), 'thing-' || n, 'Thing ' || n, 'active', 1250 FROM generate_series(0, {SKUS} - 1) n;
         INSERT INTO commerce.variants (id, product_id, sku, title, price_minor, currency)
             SELECT bench_id('2', n), bench_id('1', n), 'SKU-' || n, 'Default', 1250, 'USD' FROM generate_series(0, {SKUS} - 1) n;
         INSERT INTO commerce.stock_levels (variant_id, location_id, on_hand)
             SELECT bench_id('2', n), l.id, 1000000000 FROM generate_series(0, {SKUS} - 1) n, commerce.stock_locations l;
         INSERT INTO commerce.stock_movements (id, variant_id, location_id, kind, on_hand_delta, reserved_delta, actor)
             SELECT bench_id('3', n), bench_id('2', n), l.id, 'adjust', 1000000000, 0, 'system'
             FROM generate_series(0, {SKUS} - 1) n, commerce.stock_locations l;
         CREATE SCHEMA bench;
         CREATE TABLE bench.stock (sku bigint PRIMARY KEY, on_hand bigint NOT NULL CHECK (on_hand >= 0)) WITH (fillfactor = 70);
         INSERT INTO bench.stock SELECT n, 1000000000 FROM generate_series(0, {SKUS} - 1) n;
         CREATE TABLE bench.orders (id uuid PRIMARY KEY, email text NOT NULL, total_minor bigint NOT NULL,
             currency text NOT NULL, address jsonb NOT NULL, placed_at timestamptz NOT NULL DEFAULT now());
         CREATE TABLE bench.order_lines (order_id uuid NOT NULL REFERENCES bench.orders, sku bigint NOT NULL REFERENCES bench.stock,
             title text NOT NULL, quantity bigint NOT NULL, unit_price_minor bigint NOT NULL, PRIMARY KEY (order_id, sku));
         CREATE TABLE bench.payments (id uuid PRIMARY KEY, order_id uuid NOT NULL REFERENCES bench.orders,
             amount_minor bigint NOT NULL, status text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
         CREATE INDEX payments_order_id_idx ON bench.payments (order_id);
         ANALYZE"
    ))
    .await?;
    Ok(())
}

/// More checkouts a second than this machine could do.
const CHECKOUTS_PER_SECOND_MAX: u64 = 5000;

pub async fn fill_carts(
    conn: &mut AsyncPgConnection,
    spread: Spread,
    clients: usize,
    time: Duration,
    over_http: bool,
) -> Result<Carts> {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = BigInt)]
        first: i64,
    }
    let wanted = i64::try_from(CHECKOUTS_PER_SECOND_MAX * time.as_secs().max(1))?;
    let each = wanted / i64::try_from(clients)? + 1;
    let count = each * i64::try_from(clients)?;
    let next = "SELECT last_value + 1 AS first FROM (SELECT setval('bench_carts', last_value + $1), last_value FROM bench_carts) s";
    let Number { first } = diesel::sql_query(next).bind::<BigInt, _>(count).get_result(conn).await?;
    let sku = format!("(n * 7919) % {}", spread.skus());
    let last = first + count - 1;
    let tokens = cart_tokens()?;
    let of = |number| if over_http { token(&tokens, number) } else { floor_token(number) };
    let hashes: Vec<Vec<u8>> =
        (first..=last).map(|number| TokenHash::of(&of(number)).as_bytes().to_vec()).collect();
    diesel::sql_query(
        "INSERT INTO commerce.carts (id, token_hash)
         SELECT bench_id('4', $1 + place - 1), hash FROM unnest($2) WITH ORDINALITY AS given (hash, place)",
    )
    .bind::<BigInt, _>(first)
    .bind::<Array<Bytea>, _>(hashes)
    .execute(conn)
    .await?;
    conn.batch_execute(&format!(
        "INSERT INTO commerce.cart_items (cart_id, variant_id, quantity)
             SELECT bench_id('4', n), bench_id('2', {sku}), 1 FROM generate_series({first}::bigint, {last}) n"
    ))
    .await?;
    // By itself: several statements at once are one transaction, in which VACUUM is not allowed.
    conn.batch_execute("VACUUM ANALYZE commerce.carts, commerce.cart_items, commerce.stock_levels").await?;
    Ok(Carts { first, each, clients, spread })
}
