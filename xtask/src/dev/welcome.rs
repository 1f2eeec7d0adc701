//! What a newcomer reads once the shop is up.

use std::fmt::Write;
use std::net::SocketAddr;

use super::settings::Settings;

/// Buys one unit of something with nothing but curl: a guest's cart, a checkout, a payment at the mock provider.
const BUY: &str = r#"
  shop=http://ADDRESS/v1; json='Content-Type: application/json'
  field() { sed -E "s/.*\"$1\": ?\"([^\"]*)\".*/\1/"; }
  variant=$(curl -s "$shop/products?in_stock=true&limit=1" | grep -oE '"variants": ?\[\{"id": ?"[^"]*"' | field id)
  token=$(curl -s "$shop/cart/items" -H "$json" -d "{\"variant_id\": \"$variant\", \"quantity\": 1}" | grep -oE '"token": ?"[^"]*"' | field token)
  order=$(curl -s "$shop/orders/checkout" -H "$json" -H "Cart-Token: $token" -H "Idempotency-Key: checkout-$token" -d '{"email": "you@example.com",
    "shipping_address": {"name": "Ada Lovelace", "line1": "12 St James Square", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"}}' | grep -oE '^\{"id": ?"[^"]*"' | field id)
  curl -s "$shop/orders/$order/pay" -H "$json" -H "Cart-Token: $token" -H "Idempotency-Key: pay-$order" -d '{"provider": "mock", "outcome": "succeed"}'; echo
  curl -s "$shop/orders/$order" -H "Cart-Token: $token"; echo
"#;

/// Addresses, logins and a purchase to paste into a shell.
pub fn text(settings: &Settings, address: SocketAddr) -> String {
    let mut text = String::from("\nThe shop is open.\n\n");
    let mut line = |what: &str, value: &str| {
        let _ = writeln!(text, "  {what:<12} {value}");
    };
    line("API", &format!("http://{address}/v1"));
    line("Swagger UI", &format!("http://{address}/docs"));
    line("Metrics", &format!("http://{address}/metrics"));
    if let Ok(worker) = settings.http_address("COMMERCE_WORKER_HTTP_ADDR") {
        line("", &format!("http://{worker}/metrics  (worker)"));
    }
    match settings.get("SMTP_URL") {
        Some(_) => line("Mails", "go to SMTP_URL"),
        None => line("Mails", &settings.get("COMMERCE_MAIL_DIR").unwrap_or_default()),
    }
    if let Some(database) = settings.get("DATABASE_URL") {
        line("Database", &super::settings::without_password(&database));
    }
    let admin = settings.admin();
    let password =
        if settings.admin_is_demo() { admin.password.as_str() } else { "as in COMMERCE_ADMIN_PASSWORD" };
    line("Admin", &format!("{}  password: {password}", admin.email));
    text.push_str("\nBuy something (paste into another shell):\n");
    text.push_str(&BUY.replace("ADDRESS", &address.to_string()));
    text.push_str("\nCtrl-C stops everything and keeps the data.\n\n");
    text
}
