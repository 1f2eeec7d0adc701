//! Where the money of a journey comes from and goes to: the mock provider, which answers at once, and a bank, which
//! tells days later and sometimes twice.

use std::sync::Arc;

use commerce_core::cart::Owner;
use commerce_core::flows::begin_payment;
use commerce_core::ids::OrderId;
use commerce_core::page::Limit;
use commerce_core::payments::{
    MockProvider, Outcome, Payment, PaymentProvider, ProviderName, Providers, RefundStatus, list_refunds,
};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::bank_transfer::bank_transfer_provider::{BankTransfer, NAME};
use crate::bank_transfer::{SECRET, booking, hear};
use crate::payments::{settle, wish};
use crate::staff_refunds::run_refunds_at;

pub struct Money {
    bank: Arc<BankTransfer>,
    mock: Arc<MockProvider>,
    providers: Providers,
}

impl Money {
    pub fn new() -> Self {
        let bank = Arc::new(BankTransfer::new("GB33BUKB20201555555555", SECRET).unwrap());
        let mock = Arc::new(MockProvider::new("http://localhost"));
        let both: [Arc<dyn PaymentProvider>; 2] = [mock.clone(), bank.clone()];
        Self { bank, mock, providers: Providers::new(both) }
    }

    /// The shopper pays the order, with one provider or a part with each.
    pub async fn pay(&self, db: &TestDatabase, random: &mut StdRng, id: OrderId, owner: Owner, total: i64) {
        let first = if random.random_bool(0.4) { random.random_range(1..=total) } else { total };
        let by_bank = random.random_bool(0.5);
        self.pay_part(db, id, owner, by_bank, first).await;
        if first < total {
            self.pay_part(db, id, owner, !by_bank, total - first).await;
        }
    }

    async fn pay_part(&self, db: &TestDatabase, id: OrderId, owner: Owner, by_bank: bool, minor: i64) {
        let mut begin = wish(id, owner, Some(minor));
        if by_bank {
            (begin.provider, begin.request) = (ProviderName::new(NAME).unwrap(), serde_json::json!({}));
        }
        let payment = begin_payment(&mut *db.conn().await, begin).await.unwrap();
        let outcome = self.start(db, &payment, by_bank).await;
        settle(db, &ShopSettings::default(), payment.id, outcome.clone()).await;
        if let Outcome::RequiresAction { reference, .. } = outcome {
            assert!(hear(db, &self.bank, &booking("in", &reference, minor), SECRET).await);
        }
    }

    async fn start(&self, db: &TestDatabase, payment: &Payment, by_bank: bool) -> Outcome {
        let invoice = db.invoice(payment).await;
        let provider: &dyn PaymentProvider = if by_bank { &*self.bank } else { &*self.mock };
        provider.start(payment, &invoice).await.unwrap()
    }

    /// The jobs ask for the refunds that are due, and the bank tells of some of those that it was asked for.
    pub async fn flows(&self, db: &TestDatabase, random: &mut StdRng) {
        run_refunds_at(db, &ShopSettings::default(), &self.providers).await;
        self.bank_tells(db, |_| random.random_bool(0.5)).await;
    }

    /// All money has arrived where it goes to. What was told before is told again.
    pub async fn arrives(&self, db: &TestDatabase) {
        run_refunds_at(db, &ShopSettings::default(), &self.providers).await;
        self.bank_tells(db, |_| true).await;
    }

    async fn bank_tells(&self, db: &TestDatabase, mut tells: impl FnMut(RefundStatus) -> bool) {
        let limit = Limit::new(Limit::MAX).unwrap();
        let refunds = list_refunds(&mut *db.conn().await, None, limit, None).await.unwrap().data;
        for (refund, _) in refunds {
            let sent = refund.provider_reference.filter(|reference| reference.starts_with("REFUND-"));
            if let Some(reference) = sent.filter(|_| tells(refund.status)) {
                let told = booking("out", &reference, refund.amount_minor);
                assert!(hear(db, &self.bank, &told, SECRET).await);
            }
        }
    }
}
