//! In which language a mail is written to its reader.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Template;
use crate::ids::{OrderId, RefundId, ReturnId, UserId};
use crate::locale::Locale;
use crate::schema::{orders, refunds, returns, users};

/// The locale of the mail itself, else of its order, else of the account. `None` if none is known, and for mails to the
/// shop.
pub(super) async fn reader_locale(
    conn: &mut AsyncPgConnection,
    template: Template,
    data: &serde_json::Value,
) -> QueryResult<Option<Locale>> {
    let text = |field: &str| data.get(field).and_then(serde_json::Value::as_str);
    if template.is_to_shop() {
        return Ok(None);
    }
    if let Some(locale) = text("locale").and_then(|locale| locale.parse().ok()) {
        return Ok(Some(locale));
    }
    let order_id: Option<OrderId> = if let Some(id) = text("order_id").and_then(|id| id.parse().ok()) {
        Some(id)
    } else if let Some(id) = text("refund_id").and_then(|id| id.parse::<RefundId>().ok()) {
        refunds::table.find(id).select(refunds::order_id).first(conn).await.optional()?
    } else if let Some(id) = text("return_id").and_then(|id| id.parse::<ReturnId>().ok()) {
        returns::table.find(id).select(returns::order_id).first(conn).await.optional()?
    } else {
        None
    };
    if let Some(id) = order_id {
        let order = orders::table.left_join(users::table).filter(orders::id.eq(id));
        let locales: Option<(Option<Locale>, Option<Locale>)> =
            order.select((orders::locale, users::locale.nullable())).first(conn).await.optional()?;
        return Ok(locales.and_then(|(of_order, of_account)| of_order.or(of_account)));
    }
    let Some(id) = text("user_id").and_then(|id| id.parse::<UserId>().ok()) else { return Ok(None) };
    let locale: Option<Option<Locale>> =
        users::table.find(id).select(users::locale).first(conn).await.optional()?;
    Ok(locale.flatten())
}
