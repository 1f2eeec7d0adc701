//! A shop in a few lines: goods with stock, shoppers with full carts, orders.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::TestDatabase;
use crate::address::{Address, AddressFields};
use crate::cart::{self, Item, Owner, TokenHash};
use crate::catalog::ProductStatus;
use crate::email_address::EmailAddress;
use crate::flows::{self, PlaceOrder, PlacedOrder};
use crate::ids::{LocationId, OrderId, OrderLineId, ProductId, VariantId};
use crate::inventory::{
    self, AdjustStock, CountStock, Demand, MAIN_LOCATION, ReservationStatus, ReserveError, ReservedFor,
};
use crate::money::Currency;
use crate::notifications::Recipient;
use crate::orders::{self, NewLine, NewOrder, NewOrderSource, Order};
use crate::payments::{Invoice, Payment};
use crate::pricing::{LineInput, PriceInput, price};
use crate::request::{Actor, Origin};
use crate::schema::{products, stock_levels, variants};
use crate::settings::ShopSettings;

/// A valid postal address.
#[expect(clippy::expect_used, reason = "a test that cannot set up its shop cannot go on")]
pub fn address() -> Address {
    Address::new(AddressFields {
        name: "Ada Lovelace".into(),
        line1: "12 St James's Square".into(),
        line2: None,
        city: Some("London".into()),
        region: None,
        postal_code: Some("SW1Y 4JH".into()),
        country: "GB".into(),
        phone: None,
    })
    .expect("the address is in order")
}

/// An e-mail address.
#[expect(clippy::expect_used, reason = "a test that cannot set up its shop cannot go on")]
pub fn email(text: &str) -> EmailAddress {
    text.parse().expect("the address is in order")
}

/// A guest with a new token.
pub fn guest() -> Owner {
    Owner::Guest(TokenHash::generate().1)
}

/// The origin of a guest's request.
pub fn guest_origin() -> Origin {
    Origin { actor: Actor::Guest, request_id: Some("test".into()) }
}

/// A request to order the items of the owner's cart.
pub fn order_wish(owner: Owner) -> PlaceOrder {
    PlaceOrder {
        owner,
        email: email("ada@example.com"),
        locale: None,
        shipping_address: address(),
        billing_address: None,
        recipient: Recipient::Proven,
        expected_total: None,
        origin: guest_origin(),
    }
}

#[expect(clippy::expect_used, reason = "a test that cannot set up its shop cannot go on")]
impl TestDatabase {
    /// An active product with one variant at this price in USD, and with this stock.
    pub async fn variant(&self, price_minor: i64, on_hand: i64) -> VariantId {
        let mut conn = self.conn().await;
        let variant_id = insert_variant(&mut conn, price_minor).await.expect("a variant can be inserted");
        let location_id = MAIN_LOCATION;
        let counted = CountStock { variant_id, location_id, on_hand, reason: Some("received".into()) };
        inventory::set_on_hand(&mut conn, &[counted], &Origin::system()).await.expect("stock can be counted");
        variant_id
    }

    /// What a payment is for.
    #[expect(clippy::expect_used, reason = "a test without its order cannot go on")]
    pub async fn invoice(&self, payment: &Payment) -> Invoice {
        let invoice = Invoice::of(&mut *self.conn().await, payment.order_id).await;
        invoice.expect("the order can be read").expect("a payment has an order")
    }

    /// Adds units of a variant at the main location.
    pub async fn restock(&self, variant_id: VariantId, delta: i64) {
        self.restock_at(variant_id, MAIN_LOCATION, delta).await;
    }

    /// Adds units of a variant at this location.
    pub async fn restock_at(&self, variant_id: VariantId, location_id: LocationId, delta: i64) {
        let received = AdjustStock { variant_id, location_id, delta, reason: Some("received".into()) };
        inventory::adjust(&mut *self.conn().await, &[received], &Origin::system())
            .await
            .expect("stock can be received");
    }

    /// A guest whose cart has these quantities.
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

    /// An order of a guest for these quantities.
    pub async fn order(&self, shop: &ShopSettings, wanted: &[(VariantId, i64)]) -> (Owner, PlacedOrder) {
        let owner = self.shopper(shop, wanted).await;
        let placed = flows::place_order(&mut *self.conn().await, shop, order_wish(owner)).await;
        (owner, placed.expect("an order can be placed"))
    }

    /// An order that staff entered, for this owner or for nobody, for these quantities. It has no cart.
    pub async fn staff_order(
        &self,
        shop: &ShopSettings,
        owner: Option<Owner>,
        wanted: &[(VariantId, i64)],
    ) -> Order {
        let mut conn = self.conn().await;
        let placed = conn.transaction(async |conn| insert_staff_order(conn, shop, owner, wanted).await);
        placed.await.expect("staff can take down an order")
    }

    /// Units of a variant on hand and reserved, over all locations.
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
            products::status.eq(ProductStatus::Active),
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

#[expect(clippy::expect_used, reason = "a test that cannot set up its shop cannot go on")]
async fn insert_staff_order(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    owner: Option<Owner>,
    wanted: &[(VariantId, i64)],
) -> Result<Order, ReserveError> {
    let (mut inputs, mut counted) = (Vec::new(), Vec::new());
    for (variant_id, quantity) in wanted {
        let row = variants::table.find(variant_id).select((variants::price_minor, variants::track_inventory));
        let (price_minor, track_inventory): (i64, bool) = row.first(conn).await?;
        counted.extend(track_inventory.then_some(*variant_id));
        inputs.push(LineInput::untaxed(price_minor, *quantity));
    }
    let input = PriceInput::of_goods(inputs);
    let priced = price(&input).expect("the prices of a test can be counted");
    let order_data = NewOrder {
        id: OrderId::new(),
        source: NewOrderSource::Staff { owner },
        email: email("ada@example.com"),
        locale: None,
        currency: Currency::USD,
        totals: priced.totals,
        shipping_address: address(),
        billing_address: None,
        ttl: shop.order_ttl,
    };
    let order = orders::insert(conn, order_data.clone()).await?;
    // As the flow does, after the order.
    orders::Words::of(&order_data, &[]).insert(conn).await?;
    for ((position, (variant_id, quantity)), (input, line)) in
        (0..).zip(wanted).zip(input.lines.iter().zip(&priced.lines))
    {
        let line = NewLine {
            id: OrderLineId::new(),
            variant_id: *variant_id,
            sku: None,
            title: "Taken down".into(),
            quantity: *quantity,
            unit_price_minor: input.unit_price_minor,
            line_total_minor: line.total_minor,
            track_inventory: counted.contains(variant_id),
        };
        orders::insert_line(conn, order.id, position, &line).await?;
    }
    let demands: Vec<Demand> = wanted
        .iter()
        .filter(|(variant_id, _)| counted.contains(variant_id))
        .map(|&(variant_id, quantity)| Demand { variant_id, quantity })
        .collect();
    let mut stock = inventory::lock(conn, demands.iter().map(|demand| demand.variant_id)).await?;
    let holder = ReservedFor::Order { id: order.id, status: ReservationStatus::Held };
    inventory::reserve(conn, &mut stock, &demands, holder, &Origin::system()).await?;
    Ok(order)
}
