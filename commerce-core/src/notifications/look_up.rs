//! What a mail tells, looked up when it is sent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;

use super::contents::{CodeFacts, Contents, LinkFacts};
use super::language::Language;
use super::{MailSettings, Template, facts, order_mails, return_facts};
use crate::accounts::one_time_code::{CODE_TTL, GUESSES_MAX, derive_code};
use crate::accounts::{RESET_LINK_TTL, derive_reset_token};
use crate::db;
use crate::ids::{
    CodeId, ContactMessageId, OrderId, OrderLineId, OrderLinkId, PaymentId, RefundId, ReturnId, ShipmentId,
    UserId, VariantId, WithdrawalId,
};
use crate::inventory;
use crate::money::Money;
use crate::orders;
use crate::returns::ReturnStatus;
use crate::schema::one_time_codes;

/// Why there is nothing to tell.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookUpError {
    /// The data of the mail are not those of its template.
    #[error(transparent)]
    Data(#[from] serde_json::Error),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// Looks up what the mail tells, as the language writes it; none if there is nothing left to tell.
pub(super) async fn look_up(
    conn: &mut AsyncPgConnection,
    settings: &MailSettings,
    language: &Language,
    template: Template,
    data: serde_json::Value,
) -> Result<Option<Contents>, LookUpError> {
    // Alerts of this kind that came after this one, before it was sent.
    let more = data.get("more").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let order_id = data.get("order_id").and_then(serde_json::Value::as_str).and_then(|id| id.parse().ok());
    let order = match order_id {
        Some(id) => facts::order(conn, id, language).await?,
        None => None,
    };
    match template {
        Template::VerifyEmailCode | Template::EmailChangeCode => {
            code(conn, settings, language, parsed(data)?).await
        }
        Template::PasswordReset | Template::SetPassword => {
            link_and_code(conn, settings, language, parsed(data)?).await
        }
        Template::AccountExists
        | Template::Welcome
        | Template::PasswordChanged
        | Template::SecondFactorSetUp
        | Template::SecondFactorRemoved
        | Template::EmailChangeRequested
        | Template::EmailChanged => {
            let OfUser { user_id } = parsed(data)?;
            Ok(facts::user(conn, user_id).await?.map(|user| Contents::User { user }))
        }
        Template::OrderReceived
        | Template::OrderAuthorized
        | Template::OrderConfirmed
        | Template::PaymentFailed
        | Template::OrderCancelled => {
            let (Some(order), OfOrder { order_id, payment_id }) = (order, parsed(data)?) else {
                return Ok(None);
            };
            let pay_link = match payment_id {
                Some(id) => facts::payment_link(conn, id).await?,
                None => None,
            };
            if order_mails::is_pointless(conn, template, order_id).await? {
                return Ok(None);
            }
            // A link that is no longer good is not mailed, and the mail with a link tells all that the one without
            // does.
            let is_first = template == Template::OrderReceived && payment_id.is_none();
            if payment_id.is_some() && pay_link.is_none()
                || is_first && order_mails::has_link(conn, order_id).await?
            {
                return Ok(None);
            }
            Ok(Some(Contents::Order { order, pay_link }))
        }
        Template::OrderPartCancelled => {
            let Some(order) = order else { return Ok(None) };
            let OfPartCancelled { order_id, units, refund, by_customer } = parsed(data)?;
            if order_mails::is_pointless(conn, template, order_id).await? {
                return Ok(None);
            }
            let units = facts::units(conn, order_id, &units).await?;
            let refund = refund.map(|refund| language.money(refund));
            Ok(Some(Contents::PartCancelled { order, units, refund, by_customer }))
        }
        Template::OrderShipped | Template::OrderDelivered => {
            let (Some(order), OfShipment { order_id, shipment_id }) = (order, parsed(data)?) else {
                return Ok(None);
            };
            let parcel = facts::parcel(conn, order_id, shipment_id, &settings.carriers).await?;
            Ok(parcel.map(|parcel| Contents::Parcel { order, parcel }))
        }
        Template::OrderLink => {
            let (Some(order), OfLink { order_id, link_id }) = (order, parsed(data)?) else { return Ok(None) };
            let Some(expires_at) = orders::link_expires_at(conn, link_id).await? else { return Ok(None) };
            let token = orders::derive_order_token(&settings.secret_key, link_id);
            let page = settings.order_url.as_ref();
            let url = page.map(|page| format!("{page}#order={order_id}&token={token}"));
            let link = LinkFacts { url, token, expires_at: language.moment(expires_at) };
            Ok(Some(Contents::Link { order, link }))
        }
        Template::ReturnUpdate => {
            let OfReturn { return_id, status } = parsed(data)?;
            let Some((order_id, goods)) = return_facts::goods_back(conn, return_id).await? else {
                return Ok(None);
            };
            let order = facts::order(conn, order_id, language).await?;
            Ok(order.map(|order| Contents::Return { order, goods, status }))
        }
        Template::WithdrawalReceived | Template::WithdrawalAlert => {
            let OfWithdrawal { withdrawal_id } = parsed(data)?;
            let withdrawal = return_facts::withdrawal(conn, withdrawal_id, language).await?;
            Ok(withdrawal.map(|withdrawal| Contents::Withdrawal { withdrawal, more }))
        }
        Template::LatePaymentAlert => {
            let OfLatePayment { by_hand } = parsed(data)?;
            Ok(order.map(|order| Contents::LatePayment { order, by_hand, more }))
        }
        Template::PaymentFailedAlert => {
            let OfFailure { provider, amount, code } = parsed(data)?;
            let amount = language.amount(&amount);
            Ok(order.map(|order| Contents::FailedPayment { order, provider, amount, code, more }))
        }
        Template::PaymentMismatchAlert => {
            let OfMismatch { asked, captured, counted } = parsed(data)?;
            let (asked, captured) = (language.amount(&asked), language.amount(&captured));
            Ok(order.map(|order| Contents::Mismatch { order, asked, captured, counted, more }))
        }
        Template::AuthorizationLapsesAlert => {
            let OfAuthorization { lapses_at } = parsed(data)?;
            let lapses_at = language.moment(lapses_at);
            Ok(order.map(|order| Contents::Authorization { order, lapses_at, more }))
        }
        Template::DisputeAlert => {
            let OfDispute { amount, reason, state } = parsed(data)?;
            let amount = language.amount(&amount);
            Ok(order.map(|order| Contents::Dispute { order, amount, reason, state, more }))
        }
        Template::LowStockAlert => {
            let OfLowStock { variant_ids, further } = parsed(data)?;
            let variants = inventory::low_among(conn, &variant_ids).await?;
            let variants: Vec<facts::LowFacts> = variants.into_iter().map(facts::LowFacts::from).collect();
            Ok((!variants.is_empty()).then_some(Contents::LowStock { variants, further }))
        }
        Template::ContactMessage => {
            let OfMessage { message_id } = parsed(data)?;
            let message = facts::contact_message(conn, message_id).await?;
            Ok(message.map(|message| Contents::Message { message }))
        }
        Template::PaymentRefunded
        | Template::RefundFailedAlert
        | Template::RefundByHandAlert
        | Template::RefundMismatchAlert => {
            let OfRefund { refund_id } = parsed(data)?;
            let Some((order_id, refund)) = facts::refund(conn, refund_id, language).await? else {
                return Ok(None);
            };
            let order = facts::order(conn, order_id, language).await?;
            Ok(order.map(|order| Contents::Refund { order, refund, more }))
        }
    }
}

async fn code(
    conn: &mut AsyncPgConnection,
    settings: &MailSettings,
    language: &Language,
    OfCode { code_id }: OfCode,
) -> Result<Option<Contents>, LookUpError> {
    let Some((user_id, created_at, _)) = find_unused_code(conn, code_id, CODE_TTL).await? else {
        return Ok(None);
    };
    let Some(user) = facts::user(conn, user_id).await? else { return Ok(None) };
    let code = CodeFacts {
        digits: Some(derive_code(&settings.secret_key, code_id)),
        expires_at: language.moment(created_at + CODE_TTL),
        link: None,
        link_expires_at: None,
    };
    Ok(Some(Contents::Code { user, code }))
}

async fn link_and_code(
    conn: &mut AsyncPgConnection,
    settings: &MailSettings,
    language: &Language,
    OfCode { code_id }: OfCode,
) -> Result<Option<Contents>, LookUpError> {
    // As long as the link is good, even if the code in the same mail is not any more: the mail tells both times.
    let unused = find_unused_code(conn, code_id, RESET_LINK_TTL).await?;
    let Some((user_id, created_at, attempts)) = unused else { return Ok(None) };
    let Some(user) = facts::user(conn, user_id).await? else { return Ok(None) };
    let digits = (attempts < GUESSES_MAX).then(|| derive_code(&settings.secret_key, code_id));
    let token = derive_reset_token(&settings.secret_key, code_id);
    let link = settings.password_reset_url.as_ref().map(|page| format!("{page}#token={token}"));
    if digits.is_none() && link.is_none() {
        return Ok(None);
    }
    let code = CodeFacts {
        digits,
        expires_at: language.moment(created_at + CODE_TTL),
        link,
        link_expires_at: Some(language.moment(created_at + RESET_LINK_TTL)),
    };
    Ok(Some(Contents::Code { user, code }))
}

#[derive(Deserialize)]
struct OfCode {
    code_id: CodeId,
}

#[derive(Deserialize)]
struct OfUser {
    user_id: UserId,
}

#[derive(Deserialize)]
struct OfOrder {
    order_id: OrderId,
    payment_id: Option<PaymentId>,
}

/// Mails that were written before parcels had mails of their own name the order alone.
#[derive(Deserialize)]
struct OfShipment {
    order_id: OrderId,
    shipment_id: Option<ShipmentId>,
}

#[derive(Deserialize)]
struct OfPartCancelled {
    order_id: OrderId,
    units: Vec<(OrderLineId, i64)>,
    refund: Option<Money>,
    by_customer: bool,
}

#[derive(Deserialize)]
struct OfLatePayment {
    /// Not in mails of earlier versions.
    #[serde(default)]
    by_hand: bool,
}

#[derive(Deserialize)]
struct OfLink {
    order_id: OrderId,
    link_id: OrderLinkId,
}

#[derive(Deserialize)]
struct OfReturn {
    return_id: ReturnId,
    status: ReturnStatus,
}

#[derive(Deserialize)]
struct OfWithdrawal {
    withdrawal_id: WithdrawalId,
}

#[derive(Deserialize)]
struct OfFailure {
    provider: String,
    amount: String,
    code: String,
}

#[derive(Deserialize)]
struct OfMismatch {
    asked: String,
    captured: String,
    counted: bool,
}

#[derive(Deserialize)]
struct OfAuthorization {
    lapses_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct OfDispute {
    amount: String,
    reason: String,
    state: String,
}

#[derive(Deserialize)]
struct OfLowStock {
    variant_ids: Vec<VariantId>,
    further: usize,
}

#[derive(Deserialize)]
struct OfMessage {
    message_id: ContactMessageId,
}

#[derive(Deserialize)]
struct OfRefund {
    refund_id: RefundId,
}

fn parsed<T: for<'de> Deserialize<'de>>(data: serde_json::Value) -> Result<T, LookUpError> {
    Ok(serde_json::from_value(data)?)
}

/// Whose code it is, since when, and how many guesses were made, unless it was used or is too old.
async fn find_unused_code(
    conn: &mut AsyncPgConnection,
    id: CodeId,
    younger_than: Duration,
) -> QueryResult<Option<(UserId, DateTime<Utc>, i32)>> {
    one_time_codes::table
        .find(id)
        .filter(one_time_codes::consumed_at.is_null())
        .filter(one_time_codes::created_at.gt(db::time_before(younger_than)))
        .select((one_time_codes::user_id, one_time_codes::created_at, one_time_codes::attempts))
        .first(conn)
        .await
        .optional()
}
