//! Random journeys of an order: parcels, cancellations, returns and refunds in any order, paid with two providers,
//! beside a small model of goods and money.
//!
//! To add a kind of step, give it to [`Step`], say in [`Model::takes`] whether it is allowed and what it changes, and
//! run it in [`Journey::take`]. After every step goods and money are compared with the model, and the invariants hold.

mod model;
mod money;

use commerce_core::audit;
use commerce_core::cart::Owner;
use commerce_core::flows::{
    CancelLines, CreateShipment, MoveReturn, MoveShipment, ReceivedLine, RefundAmount, RefundOf,
    RefundedLine, StaffRefund, refund_by_staff,
};
use commerce_core::ids::{OrderId, VariantId};
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{OrderLine, OrderStatus};
use commerce_core::payments;
use commerce_core::returns::{Return, ReturnStatus};
use commerce_core::settings::ShopSettings;
use commerce_core::shipments::{Shipment, ShipmentStatus};
use commerce_core::testing::TestDatabase;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use self::model::{LineModel, Model, Step};
use crate::parcels::{author, create, lines, parcel, step, to};
use crate::part_cancel::{cancel, cancelled};
use crate::payments::order;
use crate::returns::{moved, request, towards, wish as returned};

const SEED_VARIABLE: &str = "COMMERCE_JOURNEY_SEED";
struct Journey {
    db: TestDatabase,
    id: OrderId,
    variants: Vec<VariantId>,
    lines: Vec<OrderLine>,
    parcels: Vec<Shipment>,
    owner: Owner,
    returns: Vec<Return>,
}

impl Journey {
    /// Takes the step, and tells whether it was allowed.
    async fn take(&mut self, next: Step, model: &Model) -> Result<(), String> {
        let db = &self.db;
        let shown = |error: &dyn std::fmt::Display| error.to_string();
        match next {
            Step::Pack { line, quantity, shipped } => {
                let wish = CreateShipment { shipped, ..parcel(self.id, &[(&self.lines[line], quantity)]) };
                self.parcels.push(create(db, wish).await.map_err(|error| shown(&error))?);
            }
            Step::SendAgain { parcel: at, quantity, shipped } => {
                let line = &self.lines[model.parcels[at].line];
                let replaces = Some(self.parcels[at].id);
                let wish = CreateShipment { shipped, replaces, ..parcel(self.id, &[(line, quantity)]) };
                self.parcels.push(create(db, wish).await.map_err(|error| shown(&error))?);
            }
            Step::Move { parcel, to: status, restock } => {
                let wish = MoveShipment { restock, ..to(&self.parcels[parcel], status) };
                step(db, wish).await.map_err(|error| shown(&error))?;
            }
            Step::Cancel { line, quantity, refund, restock } => {
                let wish = cancelled(self.id, &[(&self.lines[line], quantity)]);
                cancel(db, CancelLines { refund, restock, ..wish }).await.map_err(|error| shown(&error))?;
            }
            Step::RefundUnits { line, quantity, restock } => {
                let order_line_id = self.lines[line].id;
                let amount = RefundAmount::Lines(vec![RefundedLine { order_line_id, quantity }]);
                self.refund(amount, restock).await?;
            }
            Step::RefundAmount { minor } => {
                self.refund(RefundAmount::Amount(Money::new(minor, Currency::USD)), false).await?;
            }
            Step::Return { line, quantity } => {
                let wish = returned(self.id, self.owner, &[(&self.lines[line], quantity)]);
                self.returns.push(request(db, wish).await.map_err(|error| shown(&error))?);
            }
            Step::MoveReturn { place, to, quantity, restock, minor } => {
                let order_line_id = self.lines[model.returns[place].line].id;
                let came = ReceivedLine { order_line_id, quantity: Some(quantity), restock };
                let lines = if to == ReturnStatus::Received { vec![came] } else { vec![] };
                let amount = minor.filter(|_| to == ReturnStatus::Refunded);
                let amount = amount.map(|minor| Money::new(minor, Currency::USD));
                let wish = MoveReturn { lines, amount, ..towards(self.returns[place].id, to) };
                moved(db, wish).await.map_err(|error| shown(&error))?;
            }
        }
        Ok(())
    }

    async fn refund(&self, amount: RefundAmount, restock: bool) -> Result<(), String> {
        let of = RefundOf::Order(self.id);
        let wish = StaffRefund { of, amount, restock, note: None, author: author() };
        let refunds = refund_by_staff(&mut *self.db.conn().await, wish).await;
        refunds.map(drop).map_err(|error| error.to_string())
    }

    /// Goods and money are as the model says.
    async fn compare(&self, model: &Model) {
        for (variant, line) in self.variants.iter().zip(&model.lines) {
            assert_eq!(self.db.stock(*variant).await, (line.on_hand, line.reserved), "{model:#?}");
        }
        let counted =
            |line: &OrderLine| (line.cancelled_quantity, line.shipped_quantity, line.returned_quantity);
        let counts: Vec<_> = lines(&self.db, self.id).await.iter().map(counted).collect();
        let expected: Vec<_> =
            model.lines.iter().map(|line| (line.cancelled, line.shipped, line.returned)).collect();
        assert_eq!(counts, expected, "{model:#?}");
        let order = order(&self.db, self.id).await;
        let cancelled: i64 = model.lines.iter().map(|line| line.cancelled * line.price).sum();
        assert_eq!((order.paid_minor, order.cancelled_minor), (model.paid, cancelled), "{model:#?}");
        assert_eq!(order.status == OrderStatus::Cancelled, model.is_cancelled, "{model:#?}");
        let mut conn = self.db.conn().await;
        let promised = payments::promised_by_payment(&mut conn, self.id).await.unwrap();
        let promised: i64 = promised.iter().map(|(_, amount_minor)| amount_minor).sum();
        assert_eq!(promised, model.promised, "{model:#?}");
        assert_eq!(audit::verify(&mut conn).await.unwrap(), [], "{model:#?}");
    }
}

fn any_step(random: &mut StdRng, model: &Model) -> Step {
    let line = random.random_range(0..model.lines.len());
    let parcel = random.random_range(0..model.parcels.len().max(1));
    // Sometimes a unit too many, or none.
    let quantity = random.random_range(0..4);
    let (coin, often) = (random.random_bool(0.5), random.random_bool(0.8));
    let place = random.random_range(0..model.returns.len().max(1));
    match random.random_range(0..14) {
        0..3 => Step::Pack { line, quantity, shipped: coin },
        3..6 if !model.parcels.is_empty() => {
            let to = ShipmentStatus::ALL[random.random_range(1..ShipmentStatus::ALL.len())];
            Step::Move { parcel, to, restock: coin }
        }
        6 if !model.parcels.is_empty() => Step::SendAgain { parcel, quantity, shipped: coin },
        7 | 8 => Step::Cancel { line, quantity, refund: often, restock: often },
        9 | 10 if !model.returns.is_empty() => {
            let to = ReturnStatus::ALL[random.random_range(1..ReturnStatus::ALL.len())];
            let minor = random.random_bool(0.3).then(|| random.random_range(0..600));
            Step::MoveReturn { place, to, quantity, restock: coin, minor }
        }
        11 | 12 => Step::Return { line, quantity },
        13 => Step::RefundAmount { minor: random.random_range(0..300) },
        _ => Step::RefundUnits { line, quantity, restock: coin },
    }
}

#[tokio::test]
async fn any_journey_of_an_order_keeps_goods_and_money() {
    let given = std::env::var(SEED_VARIABLE).ok();
    let seed: u64 = given.map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("{SEED_VARIABLE}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut taken, mut refused) = (0, 0);
    let mut db = TestDatabase::new().await;
    for _ in 0..12 {
        let (lines, parcels, returns) = (Vec::new(), Vec::new(), Vec::new());
        let mut model = Model { lines, parcels, returns, paid: 0, promised: 0, is_cancelled: false };
        let (mut variants, mut wanted) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let (price, quantity) = (random.random_range(1..500), random.random_range(1..7));
            let on_hand = quantity + random.random_range(0..4);
            let variant = db.variant(price, on_hand).await;
            variants.push(variant);
            wanted.push((variant, quantity));
            model.paid += price * quantity;
            let (cancelled, shipped, refunded, restocked, returned) = (0, 0, 0, 0, 0);
            let (out, reserved) = (0, quantity);
            model.lines.push(LineModel {
                price,
                quantity,
                cancelled,
                shipped,
                refunded,
                restocked,
                returned,
                out,
                on_hand,
                reserved,
            });
        }
        let (owner, placed) = db.order(&ShopSettings::default(), &wanted).await;
        let (id, lines) = (placed.order.id, placed.lines);
        let money = money::Money::new();
        money.pay(&db, &mut random, id, owner, model.paid).await;
        let (parcels, returns) = (Vec::new(), Vec::new());
        let mut journey = Journey { db, id, owner, variants, lines, parcels, returns };
        for _ in 0..30 {
            let next = any_step(&mut random, &model);
            let before = model.clone();
            let allowed = model.takes(next);
            let result = journey.take(next, &before).await;
            assert_eq!(result.is_ok(), allowed, "{next:?}: {result:?}, {before:#?}");
            (taken, refused) = (taken + usize::from(allowed), refused + usize::from(!allowed));
            if random.random_bool(0.2) {
                money.flows(&journey.db, &mut random).await;
            }
            journey.compare(&model).await;
        }
        for _ in 0..2 {
            money.arrives(&journey.db).await;
            journey.compare(&model).await;
            assert_eq!(order(&journey.db, id).await.refunded_minor, model.promised, "{model:#?}");
        }
        db = journey.db;
    }
    println!("{taken} steps taken, {refused} refused");
    assert!(taken > 50 && refused > 20, "{taken} taken, {refused} refused");
    db.finish().await;
}
