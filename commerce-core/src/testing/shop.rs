//! A shop in a few lines: goods with stock, shoppers with full carts, orders.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::TestDatabase;
use crate::address::{Address, AddressFields};
use crate::cart::{self, Item, Owner, TokenHash};
use crate::email_address::EmailAddress;
use crate::flows::{self, PlaceOrder, PlacedOrder};
use crate::ids::{LocationId, ProductId, VariantId};
use crate::inventory::{self, AdjustStock, MAIN_LOCATION};
use crate::request::{Actor, Origin};
use crate::schema::{products, stock_levels, variants};
use crate::settings::ShopSettings;

/// An address in order.
#[expect(clippy::expect_used, reason = "a test that cannot set up its shop cannot go on")]
pub fn address() -> Address {
    Address::new(AddressFields {
        name: "Ada Lovelace".into(),
        line1: "12 St James's Square".into(),
        line2: None,
        city: "London".into(),
        region: None,
        postal_code: "SW1Y 4JH".into(),
        country: "GB".into(),
        phone: None,
    })
    .expect("the address is in order")
}

/// An address to write to.
#[expect(clippy::expect_used, reason = "a test that cannot set up its shop cannot go on")]
pub fn email(text: &str) -> EmailAddress {
    text.parse().expect("the address is in order")
}

/// A guest with a token of its own.
pub fn guest() -> Owner {
    Owner::Guest(TokenHash::generate().1)
}

/// What a guest's request looks like to the library.
pub fn guest_origin() -> Origin {
    Origin { actor: Actor::Guest, request_id: Some("test".into()) }
}

/// The wish to order what is in the owner's cart.
pub fn order_wish(owner: Owner) -> PlaceOrder {
    PlaceOrder {
        owner,
        email: email("ada@example.com"),
        shipping_address: address(),
        billing_address: None,
        expected_total: None,
        origin: guest_origin(),
    }
}

#[expect(clippy::expect_used, reason = "a test that cannot set up its shop cannot go on")]
impl TestDatabase {
    /// An active product with one variant at this price in USD, and so many units in stock.
    pub async fn variant(&self, price_minor: i64, on_hand: i64) -> VariantId {
        let mut conn = self.conn().await;
        let variant_id = insert_variant(&mut conn, price_minor).await.expect("a variant can be inserted");
        self.restock(variant_id, on_hand).await;
        variant_id
    }

    /// More units of a variant, in the main location.
    pub async fn restock(&self, variant_id: VariantId, delta: i64) {
        self.restock_at(variant_id, MAIN_LOCATION, delta).await;
    }

    /// More units of a variant, in this location.
    pub async fn restock_at(&self, variant_id: VariantId, location_id: LocationId, delta: i64) {
        let received = AdjustStock { variant_id, location_id, delta, reason: Some("received".into()) };
        inventory::adjust(&mut *self.conn().await, &[received], &Origin::system())
            .await
            .expect("stock can be received");
    }

    /// A guest whose cart holds so many of each variant.
    pub async fn shopper(&self, shop: &ShopSettings, wanted: &[(VariantId, i64)]) -> Owner {
        let owner = guest();
        for &(variant_id, quantity) in wanted {
            cart::add_item(
                &mut *self.conn().await,
                shop,
                owner,
                Item { variant_id, quantity },
                &guest_origin(),
            )
            .await
            .expect("an item can be added");
        }
        owner
    }

    /// An order of a guest over so many of each variant.
    pub async fn order(&self, shop: &ShopSettings, wanted: &[(VariantId, i64)]) -> (Owner, PlacedOrder) {
        let owner = self.shopper(shop, wanted).await;
        let placed = flows::place_order(&mut *self.conn().await, shop, order_wish(owner)).await;
        (owner, placed.expect("an order can be placed"))
    }

    /// On hand and reserved units of a variant, over all locations.
    pub async fn stock(&self, variant_id: VariantId) -> (i64, i64) {
        let levels: Vec<(i64, i64)> = stock_levels::table
            .filter(stock_levels::variant_id.eq(variant_id))
            .select((stock_levels::on_hand, stock_levels::reserved))
            .load(&mut self.conn().await)
            .await
            .expect("stock can be read");
        levels.into_iter().fold((0, 0), |(on_hand, reserved), level| (on_hand + level.0, reserved + level.1))
    }
}

async fn insert_variant(conn: &mut AsyncPgConnection, price_minor: i64) -> QueryResult<VariantId> {
    let (product_id, variant_id) = (ProductId::new(), VariantId::new());
    let name = format!("thing-{}", variant_id.0.simple());
    diesel::insert_into(products::table)
        .values((
            products::id.eq(product_id),
            products::slug.eq(&name),
            products::title.eq(&name),
            products::status.eq("active"),
            products::price_from_minor.eq(price_minor),
        ))
        .execute(conn)
        .await?;
    diesel::insert_into(variants::table)
        .values((
            variants::id.eq(variant_id),
            variants::product_id.eq(product_id),
            variants::title.eq("Default"),
            variants::price_minor.eq(price_minor),
            variants::currency.eq("USD"),
        ))
        .execute(conn)
        .await?;
    Ok(variant_id)
}
