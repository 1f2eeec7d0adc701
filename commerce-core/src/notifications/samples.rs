//! Sample data for every mail: for previews, and to check templates with.

use chrono::{DateTime, TimeDelta, Utc};

use super::Template;
use super::contents::{CodeFacts, Contents, LinkFacts};
use super::facts::{
    ContactFacts, LineRow, LowFacts, OrderFacts, OrderRow, ParcelFacts, RefundFacts, UnitsFacts, UserFacts,
};
use super::language::Language;
use super::return_facts::{LineFacts, NamedFacts, ReturnFacts, WithdrawalFacts};
use crate::address::{Address, AddressFields};
use crate::money::{Currency, Money};
use crate::orders::OrderStatus;
use crate::payments::RefundReason;
use crate::returns::ReturnStatus;

/// One of the things that a mail may tell.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Which one, in a word. Empty for the usual one.
    pub case: &'static str,
    pub contents: Contents,
}

const CODE: &str = "482915";
const TOKEN: &str = "Zm9sbG93IHRoZSB3aGl0ZSByYWJiaXQgaG9tZSBub3c";

/// What the mail may tell, the usual first.
pub(super) fn samples(template: Template, language: &Language) -> Vec<Sample> {
    let sample = |case, contents| Sample { case, contents };
    let one = |contents| vec![sample("", contents)];
    let at = Given { language };
    match template {
        Template::VerifyEmailCode | Template::EmailChangeCode => one(at.code(false)),
        Template::PasswordReset | Template::SetPassword => {
            let Contents::Code { user, code } = at.code(true) else { return Vec::new() };
            let without_digits = CodeFacts { digits: None, ..code.clone() };
            vec![
                sample("", Contents::Code { user: user.clone(), code }),
                sample("link", Contents::Code { user, code: without_digits }),
                sample("code", at.code(false)),
            ]
        }
        Template::AccountExists
        | Template::Welcome
        | Template::PasswordChanged
        | Template::SecondFactorSetUp
        | Template::SecondFactorRemoved
        | Template::EmailChangeRequested
        | Template::EmailChanged => {
            let unknown = Contents::User { user: UserFacts { name: None } };
            vec![sample("", Contents::User { user: user() }), sample("no-name", unknown)]
        }
        Template::OrderReceived => {
            let received = |pay_link| Contents::Order { order: at.order(&unpaid()), pay_link };
            let link = Some(format!("https://pay.shop.example/checkout/{TOKEN}{TOKEN}"));
            vec![sample("", received(None)), sample("link", received(link))]
        }
        Template::PaymentFailed => one(Contents::Order { order: at.order(&unpaid()), pay_link: None }),
        Template::OrderAuthorized => one(Contents::Order { order: at.order(&authorized()), pay_link: None }),
        Template::OrderConfirmed => {
            let confirmed = |row: &OrderRow| Contents::Order { order: at.order(row), pay_link: None };
            vec![sample("", confirmed(&paid())), sample("free", confirmed(&free()))]
        }
        Template::OrderCancelled => {
            let cancelled = |row: OrderRow, reason: &str| {
                let (status, cancel_reason) = (OrderStatus::Cancelled, Some(reason.to_owned()));
                Contents::Order {
                    order: at.order(&OrderRow { status, cancel_reason, ..row }),
                    pay_link: None,
                }
            };
            vec![
                sample("", cancelled(paid(), "customer")),
                sample("expired", cancelled(unpaid(), "expired")),
                sample("payment-failed", cancelled(unpaid(), "payment_failed")),
                sample("by-shop", cancelled(paid(), "admin")),
                sample("kept", cancelled(OrderRow { kept_minor: TOTAL, ..paid() }, "admin")),
            ]
        }
        Template::OrderPartCancelled => {
            let cancelled = |row: OrderRow, refund: Option<i64>, by_customer| Contents::PartCancelled {
                order: at.order_with(&OrderRow { cancelled_minor: 2400, ..row }, 1),
                units: vec![UnitsFacts { title: MUG.to_owned(), quantity: 1 }],
                refund: refund.map(|minor| at.euros(minor)),
                by_customer,
            };
            vec![
                sample("", cancelled(paid(), Some(2400), true)),
                sample("unpaid", cancelled(unpaid(), None, true)),
                sample("by-shop", cancelled(paid(), Some(2400), false)),
            ]
        }
        Template::OrderShipped | Template::OrderDelivered => {
            let parcel = |is_part, is_again| Contents::Parcel {
                order: at.order(&OrderRow { status: OrderStatus::Shipped, ..paid() }),
                parcel: parcel(is_part, is_again),
            };
            let unknown = ParcelFacts { carrier: None, tracking_url: None, ..self::parcel(false, false) };
            let unknown = Contents::Parcel { order: at.order(&paid()), parcel: unknown };
            vec![
                sample("", parcel(false, false)),
                sample("part", parcel(true, false)),
                sample("again", parcel(true, true)),
                sample("no-carrier", unknown),
            ]
        }
        Template::OrderLink => {
            let link = |url| LinkFacts { url, token: TOKEN.to_owned(), expires_at: at.moment(30 * 24) };
            let link = |url| Contents::Link { order: at.order(&paid()), link: link(url) };
            let url = format!("https://shop.example/order#order=0193&token={TOKEN}");
            vec![sample("", link(Some(url))), sample("token", link(None))]
        }
        Template::ReturnUpdate => {
            let update = |status, received, answer: Option<&str>| Contents::Return {
                order: at.order(&OrderRow { status: OrderStatus::Delivered, ..paid() }),
                goods: goods(received, answer),
                status,
            };
            let address = "Please send them to:\nCorner Shop, Returns\n1 Harbour Road, Bristol BS1 4ST";
            vec![
                sample("", update(ReturnStatus::Requested, None, None)),
                sample("approved", update(ReturnStatus::Approved, None, Some(address))),
                sample("received", update(ReturnStatus::Received, Some(1), None)),
                sample("rejected", update(ReturnStatus::Rejected, None, Some("The mug was used."))),
                sample("refunded", update(ReturnStatus::Refunded, Some(2), None)),
            ]
        }
        Template::WithdrawalReceived => {
            let part = WithdrawalFacts { lines: vec![named()], ..at.withdrawal(false, None) };
            vec![
                sample("", Contents::Withdrawal { withdrawal: at.withdrawal(false, None), more: 0 }),
                sample("part", Contents::Withdrawal { withdrawal: part, more: 0 }),
            ]
        }
        Template::WithdrawalAlert => {
            let alert = |matched, id: Option<&str>| Contents::Withdrawal {
                withdrawal: at.withdrawal(matched, id),
                more: 0,
            };
            vec![
                sample("", alert(true, Some("01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b1e"))),
                sample("nothing-back", alert(true, None)),
                sample("no-order", alert(false, None)),
            ]
        }
        Template::PaymentRefunded => {
            let refunds = RefundReason::ALL.iter().map(|reason| {
                let case = if *reason == RefundReason::Requested { "" } else { reason.as_str() };
                sample(case, at.refund(*reason, false))
            });
            let mut refunds: Vec<Sample> = refunds.collect();
            refunds.sort_by_key(|sample| !sample.case.is_empty());
            refunds.push(sample("by-hand", at.refund(RefundReason::Requested, true)));
            refunds
        }
        Template::RefundFailedAlert | Template::RefundByHandAlert | Template::RefundMismatchAlert => {
            one(at.refund(RefundReason::Requested, false))
        }
        Template::LatePaymentAlert => {
            let late = |by_hand| Contents::LatePayment { order: at.order(&paid()), by_hand, more: 0 };
            vec![sample("", late(false)), sample("by-hand", late(true))]
        }
        Template::PaymentFailedAlert => one(Contents::FailedPayment {
            order: at.order(&unpaid()),
            provider: "stripe".to_owned(),
            amount: at.euros(TOTAL),
            code: "card_declined".to_owned(),
            more: 12,
        }),
        Template::PaymentMismatchAlert => {
            let mismatch = |counted| Contents::Mismatch {
                order: at.order(&unpaid()),
                asked: at.euros(TOTAL),
                captured: at.euros(TOTAL / 2),
                counted,
                more: 0,
            };
            vec![sample("", mismatch(true)), sample("not-counted", mismatch(false))]
        }
        Template::AuthorizationLapsesAlert => {
            one(Contents::Authorization { order: at.order(&authorized()), lapses_at: at.moment(24), more: 0 })
        }
        Template::DisputeAlert => one(Contents::Dispute {
            order: at.order(&paid()),
            amount: at.euros(TOTAL),
            reason: "fraudulent".to_owned(),
            state: "needs_response".to_owned(),
            more: 0,
        }),
        Template::LowStockAlert => one(Contents::LowStock { variants: low(), further: 3 }),
        Template::ContactMessage => message().map(one).unwrap_or_default(),
    }
}

/// When the sample order was placed.
fn placed_at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_796_047_500, 0).unwrap_or_default()
}

const MUG: &str = "Stoneware mug, glazed by hand";
const SUBTOTAL: i64 = 127_300;
const TOTAL: i64 = 148_158;

fn user() -> UserFacts {
    UserFacts { name: Some("Ada Lovelace".to_owned()) }
}

fn unpaid() -> OrderRow {
    OrderRow {
        number: 1001,
        user_id: None,
        email: "ada@example.com".to_owned(),
        status: OrderStatus::PendingPayment,
        currency: Currency::EUR,
        subtotal_minor: SUBTOTAL,
        discount_minor: 5000,
        shipping_minor: 1165,
        tax_minor: 24_693,
        total_minor: TOTAL,
        cancelled_minor: 0,
        kept_minor: 0,
        paid_minor: 0,
        refunded_minor: 0,
        shipping_address: address(),
        cancel_reason: None,
        placed_at: placed_at(),
        expires_at: Some(placed_at() + TimeDelta::minutes(15)),
    }
}

fn paid() -> OrderRow {
    OrderRow { status: OrderStatus::Paid, paid_minor: TOTAL, ..unpaid() }
}

fn authorized() -> OrderRow {
    OrderRow { status: OrderStatus::Paid, ..unpaid() }
}

fn free() -> OrderRow {
    OrderRow {
        status: OrderStatus::Paid,
        discount_minor: SUBTOTAL,
        shipping_minor: 0,
        tax_minor: 0,
        total_minor: 0,
        ..unpaid()
    }
}

fn address() -> Address {
    let fields = AddressFields {
        name: "Ada Lovelace".to_owned(),
        line1: "12 St James's Square".to_owned(),
        line2: None,
        city: Some("London".to_owned()),
        region: None,
        postal_code: Some("SW1Y 4JH".to_owned()),
        country: "GB".to_owned(),
        phone: None,
    };
    Address::new(fields).unwrap_or_else(|_| unreachable!("the address is in order"))
}

fn parcel(is_part: bool, is_again: bool) -> ParcelFacts {
    ParcelFacts {
        carrier: Some("DHL".to_owned()),
        tracking_number: "00340434161094042557".to_owned(),
        tracking_url: Some(
            "https://www.dhl.com/en/express/tracking.html?AWB=00340434161094042557".to_owned(),
        ),
        lines: vec![UnitsFacts { title: MUG.to_owned(), quantity: 2 }],
        is_part,
        is_again,
    }
}

fn goods(received: Option<i64>, answer: Option<&str>) -> ReturnFacts {
    ReturnFacts {
        lines: vec![LineFacts { title: MUG.to_owned(), quantity: 2, received }],
        answer: answer.map(str::to_owned),
        is_short: received.is_some_and(|received| received < 2),
    }
}

fn named() -> NamedFacts {
    NamedFacts { order_line_id: "01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b31".to_owned(), quantity: 1 }
}

fn low() -> Vec<LowFacts> {
    let low = |variant: &str, sku: Option<&str>| LowFacts {
        title: "Stoneware mug".to_owned(),
        variant: variant.to_owned(),
        sku: sku.map(str::to_owned),
        available: 2,
        threshold: 5,
    };
    vec![low("Ink", Some("MUG-INK")), low("Sand", None)]
}

fn message() -> Option<Contents> {
    let message = ContactFacts {
        name: "Ada Lovelace".to_owned(),
        email: "ada@example.com".parse().ok()?,
        phone: Some("+44 20 7946 0018".to_owned()),
        message: "Hello,\n\ndo you send to the Isle of Man?\n\nAda".to_owned(),
    };
    Some(Contents::Message { message })
}

/// Sample data, as a language writes it.
struct Given<'a> {
    language: &'a Language,
}

impl Given<'_> {
    fn euros(&self, minor: i64) -> String {
        self.language.money(Money::new(minor, Currency::EUR))
    }

    /// So many hours after the order was placed.
    fn moment(&self, hours: i64) -> String {
        self.language.moment(placed_at() + TimeDelta::hours(hours))
    }

    fn order(&self, row: &OrderRow) -> OrderFacts {
        self.order_with(row, 0)
    }

    /// The order with so many mugs cancelled.
    fn order_with(&self, row: &OrderRow, cancelled_quantity: i64) -> OrderFacts {
        let line = |title: &str, sku: Option<&str>, quantity, unit_price_minor, cancelled_quantity| LineRow {
            title: title.to_owned(),
            sku: sku.map(str::to_owned),
            quantity,
            unit_price_minor,
            line_total_minor: unit_price_minor * quantity,
            cancelled_quantity,
        };
        let lines = vec![
            line(MUG, Some("MUG-INK"), 2, 2400, cancelled_quantity),
            line("Oak table for eight people, oiled, with two extensions and a drawer", None, 1, 122_500, 0),
        ];
        row.clone().written(lines, user().name, self.language)
    }

    fn code(&self, has_link: bool) -> Contents {
        let link = format!("https://shop.example/reset-password#token={TOKEN}");
        let code = CodeFacts {
            digits: Some(CODE.to_owned()),
            expires_at: self.moment(0),
            link: has_link.then_some(link),
            link_expires_at: has_link.then(|| self.moment(1)),
        };
        Contents::Code { user: user(), code }
    }

    fn withdrawal(&self, is_matched: bool, return_id: Option<&str>) -> WithdrawalFacts {
        WithdrawalFacts {
            id: "01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b40".to_owned(),
            name: "Ada Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
            order_number: "1001".to_owned(),
            lines: Vec::new(),
            text: Some("I withdraw from the contract.".to_owned()),
            confirmed_at: self.language.second(placed_at()),
            is_matched,
            return_id: return_id.map(str::to_owned),
        }
    }

    fn refund(&self, reason: RefundReason, by_hand: bool) -> Contents {
        let refund = RefundFacts {
            amount: self.euros(2400),
            reason: reason.as_str().to_owned(),
            failure_code: Some("expired_or_canceled_card".to_owned()),
            note: Some("One mug arrived with a crack.".to_owned()),
            by_hand,
            deducted: (reason == RefundReason::GoodsReturned).then(|| self.euros(300)),
        };
        let row = OrderRow { refunded_minor: 2400, ..paid() };
        Contents::Refund { order: self.order(&row), refund, more: 0 }
    }
}
