//! A florist's website that contains a shop. The florist prints a greeting card with every bouquet.
//!
//! The cards are the florist's own table. An order and its card belong together, so both are written in one
//! transaction. The florist's program opens this transaction, and commits it or rolls it back as a whole.
//!
//! ```sh
//! DATABASE_URL=postgres://user:password@localhost/florist cargo run -p commerce-core --example host_checkout
//! ```

use std::error::Error;
use std::fmt;

use commerce_core::address::{Address, AddressFields};
use commerce_core::cart::{self, Owner, TokenHash};
use commerce_core::catalog::{NewProduct, NewVariant, ProductStatus};
use commerce_core::email_address::EmailAddress;
use commerce_core::flows::{self, CreateProduct, PlaceOrder, PlaceOrderError, PlacedOrder};
use commerce_core::ids::{OrderId, VariantId};
use commerce_core::inventory::Shortage;
use commerce_core::money::Money;
use commerce_core::notifications::Recipient;
use commerce_core::request::{Actor, Origin};
use commerce_core::settings::ShopSettings;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to a Postgres database")?;
    commerce_core::db::migrate(&url).await?;
    let mut conn = AsyncPgConnection::establish(&url).await?;
    for visit in three_visits(&mut conn).await? {
        println!("{visit}");
    }
    Ok(())
}

/// The florist's own table. It is in the florist's schema and may refer to the shop's tables.
const GREETING_CARDS: &str = "
    CREATE TABLE IF NOT EXISTS greeting_cards (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        order_id uuid REFERENCES commerce.orders (id),
        greeting text NOT NULL CONSTRAINT greeting_fits_on_the_card CHECK (length(greeting) <= 40)
    )";

diesel::table! {
    greeting_cards (id) {
        id -> Int8,
        order_id -> Nullable<Uuid>,
        greeting -> Text,
    }
}

/// The result of a checkout.
#[derive(Debug)]
pub enum Visit {
    /// The order and its card are written.
    Ordered { id: OrderId, number: i64, total: Money },
    /// There is no order, but the card is written and waits for new bouquets.
    Waiting(Vec<Shortage>),
    /// Neither is written, and the cart is as before.
    GreetingTooLong,
}

/// Why a checkout failed. Nothing is written.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    #[error(transparent)]
    Order(#[from] PlaceOrderError),
    #[error(transparent)]
    Database(#[from] QueryError),
}

/// The florist's checkout.
pub async fn checkout(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    shopper: &Shopper,
    greeting: &str,
) -> Result<Visit, CheckoutError> {
    let visit = conn
        .transaction(async |conn| {
            match flows::place_order(conn, shop, shopper.wish()).await {
                Ok(PlacedOrder { order, .. }) => {
                    write_card(conn, Some(order.id), greeting).await?;
                    let total = Money::new(order.total_minor, order.currency);
                    Ok(Visit::Ordered { id: order.id, number: order.number, total })
                }
                // The order was undone, and nothing else. The transaction continues.
                Err(PlaceOrderError::OutOfStock(shortages)) => {
                    write_card(conn, None, greeting).await?;
                    Ok(Visit::Waiting(shortages))
                }
                Err(error) => Err(CheckoutError::Order(error)),
            }
        })
        .await;
    match visit {
        // The card's own rule failed after the order was placed, so the order was rolled back with it.
        Err(CheckoutError::Database(QueryError::DatabaseError(DatabaseErrorKind::CheckViolation, _))) => {
            Ok(Visit::GreetingTooLong)
        }
        visit => visit,
    }
}

async fn write_card(
    conn: &mut AsyncPgConnection,
    order_id: Option<OrderId>,
    greeting: &str,
) -> QueryResult<usize> {
    diesel::insert_into(greeting_cards::table)
        .values((greeting_cards::order_id.eq(order_id), greeting_cards::greeting.eq(greeting)))
        .execute(conn)
        .await
}

/// Three bouquets, and two shoppers who each have two in their cart. A cart reserves nothing until checkout.
pub async fn three_visits(conn: &mut AsyncPgConnection) -> Result<[Visit; 3], Box<dyn Error>> {
    let shop = ShopSettings::default();
    conn.batch_execute(GREETING_CARDS).await?;
    let tulips = sell_tulips(conn, &shop, 3).await?;
    let ada = Shopper::with_cart(conn, &shop, "Ada", tulips, 2).await?;
    let ben = Shopper::with_cart(conn, &shop, "Ben", tulips, 2).await?;
    Ok([
        checkout(conn, &shop, &ada, "Happy birthday to the best of all mothers!").await?,
        checkout(conn, &shop, &ada, "Happy birthday, mum!").await?,
        checkout(conn, &shop, &ben, "Get well soon!").await?,
    ])
}

/// Puts a bouquet on sale with this stock, and returns the variant for carts.
async fn sell_tulips(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    bouquets: i64,
) -> Result<VariantId, Box<dyn Error>> {
    let only_variant = NewVariant {
        sku: None,
        options: Default::default(),
        price: Money::new(29_90, shop.currency),
        compare_at_price: None,
        active: true,
        details: Default::default(),
        staff: Default::default(),
    };
    let product = NewProduct {
        slug: None,
        title: "Twenty tulips".into(),
        description: "<p>Cut this morning.</p>".into(),
        status: ProductStatus::Active,
        vendor: None,
        tags: Vec::new(),
        attributes: Default::default(),
        option_names: Vec::new(),
        category_ids: Vec::new(),
        images: Vec::new(),
        variants: vec![only_variant],
    };
    let create = CreateProduct { product, stock: vec![bouquets] };
    let product = flows::create_product(conn, create, shop.currency, &Origin::system()).await?;
    let variant = product.variants.into_iter().next().ok_or("a product has a variant")?;
    Ok(variant.id)
}

/// A guest. The token behind `owner` would be in a cookie of the website.
#[derive(Debug)]
pub struct Shopper {
    owner: Owner,
    email: EmailAddress,
    address: Address,
}

impl Shopper {
    async fn with_cart(
        conn: &mut AsyncPgConnection,
        shop: &ShopSettings,
        name: &'static str,
        variant_id: VariantId,
        quantity: i64,
    ) -> Result<Self, Box<dyn Error>> {
        let (_token, hash) = TokenHash::generate();
        let email = format!("{}@example.com", name.to_lowercase()).parse()?;
        let address = Address::new(AddressFields {
            name: name.into(),
            line1: "1 Keukenhof Lane".into(),
            line2: None,
            city: Some("Lisse".into()),
            region: None,
            postal_code: Some("2161 AM".into()),
            country: "NL".into(),
            phone: None,
        })?;
        let shopper = Self { owner: Owner::Guest(hash), email, address };
        let item = cart::Item { variant_id, quantity };
        cart::add_item(conn, shop, shopper.owner, item, &shopper.origin()).await?;
        Ok(shopper)
    }

    /// The request to order the items of the cart.
    fn wish(&self) -> PlaceOrder {
        PlaceOrder {
            owner: self.owner,
            email: self.email.clone(),
            locale: None,
            shipping_address: self.address.clone(),
            billing_address: None,
            recipient: Recipient::Proven,
            expected_total: None,
            origin: self.origin(),
        }
    }

    fn origin(&self) -> Origin {
        Origin { actor: Actor::Guest, request_id: None }
    }
}

impl fmt::Display for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Visit::Ordered { number, total, .. } => {
                write!(f, "committed:    order {number} over {total}, and its card")
            }
            Visit::Waiting(shortages) => {
                f.write_str("committed:    the card alone;")?;
                shortages
                    .iter()
                    .try_for_each(|short| write!(f, " {} wanted, {} left", short.requested, short.available))
            }
            Visit::GreetingTooLong => {
                f.write_str("rolled back:  the greeting does not fit, so no order either")
            }
        }
    }
}
