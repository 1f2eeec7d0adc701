//! What a newcomer reads once the shop is up.

use std::fmt::Write;
use std::net::SocketAddr;

use super::settings::{DEMO_PASSWORD, Settings};

/// Orders one unit of something with nothing but curl: a guest's cart and a checkout.
const ORDER: &str = r#"
  shop=http://ADDRESS; json='Content-Type: application/json'
  first() { grep -oE "\"$1\": ?\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }
  variant=$(curl -s "$shop/v1/products?in_stock=true&limit=1" | sed 's/.*"variants"://' | first id)
  token=$(curl -s $shop/v1/cart/items -H "$json" -d "{\"variant_id\": \"$variant\", \"quantity\": 1}" | first token)
  order=$(curl -si $shop/v1/orders/checkout -H "$json" -H "Cart-Token: $token" -H "Idempotency-Key: checkout-$token" \
    -d '{"email": "ada@example.com", "shipping_address": {"name": "Ada Lovelace", "line1": "12 St James Square",
         "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"}}' | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
"#;

/// Pays the order at the mock provider.
const PAY: &str = r#"  curl -s $shop$order/pay -H "$json" -H "Cart-Token: $token" -H "Idempotency-Key: pay-$token" \
    -d '{"provider": "mock", "outcome": "succeed"}' | grep -oE '"(provider|status)": ?"[^"]*"'
"#;

/// Begins a payment on the page of a peer.
const PAY_ON_PAGE: &str = r#"  curl -s $shop$order/pay -H "$json" -H "Cart-Token: $token" -H "Idempotency-Key: pay-$token" \
    -d '{"provider": "stripe"}' | first url
"#;

/// The same with Razorpay, whose checkout runs in the storefront.
const PAY_BY_RAZORPAY: &str = r#"  curl -s $shop$order/pay -H "$json" -H "Cart-Token: $token" -H "Idempotency-Key: razorpay-$token" \
    -d '{"provider": "razorpay"}' | grep -oE 'order_Test[0-9]+' | head -n 1 | sed 's|^|RAZORPAY/pay/|'
"#;

/// Shows the order.
const SHOW: &str = r#"  curl -s $shop$order -H "Cart-Token: $token" | grep -oE '"(number|status|payment_status)": ?"[^"]*"'
"#;

/// Addresses, logins and a purchase to paste into a shell.
pub fn text(settings: &Settings, address: SocketAddr) -> String {
    let mut text = String::from("\nThe shop is open.\n\n");
    let mut line = |what: &str, value: &str| {
        let _ = writeln!(text, "  {what:<12} {value}");
    };
    line("API", &format!("http://{address}/v1"));
    line("Swagger UI", &format!("http://{address}/docs"));
    if let Ok(metrics) = settings.http_address("COMMERCE_METRICS_ADDR") {
        line("Metrics", &format!("http://{metrics}/metrics"));
    }
    if let Ok(worker) = settings.http_address("COMMERCE_WORKER_HTTP_ADDR") {
        line("", &format!("http://{worker}/metrics  (worker)"));
    }
    match settings.get("SMTP_URL") {
        Some(_) => line("Mails", "go to SMTP_URL"),
        None => line("Mails", &settings.get("COMMERCE_MAIL_DIR").unwrap_or_default()),
    }
    line("Search", &settings.get("MEILISEARCH_URL").unwrap_or_else(|| "by Postgres".to_owned()));
    if let Some(database) = settings.get("DATABASE_URL") {
        line("Database", &super::settings::without_password(&database));
    }
    for (who, prefix) in [("Admin", "COMMERCE_ADMIN"), ("Shopper", "COMMERCE_DEMO")] {
        let email = settings.get(&format!("{prefix}_EMAIL")).unwrap_or_default();
        let password =
            settings.get(&format!("{prefix}_PASSWORD")).filter(|password| password == DEMO_PASSWORD);
        let password = password.unwrap_or_else(|| format!("as in {prefix}_PASSWORD"));
        line(who, &format!("{email}  password: {password}"));
    }
    text.push_str("\nBuy something (paste into another shell):\n");
    text.push_str(&ORDER.replace("ADDRESS", &address.to_string()));
    match settings.get("COMMERCE_RAZORPAY_PEER_ADDR").and_then(|_| settings.get("RAZORPAY_API_BASE")) {
        None => text.push_str(&format!("{PAY}{SHOW}")),
        Some(razorpay) => {
            text.push_str(PAY_ON_PAGE);
            text.push_str("\nOpen this address, a page of Stripe's stand-in, and click Pay. Then the order is paid:\n\n");
            text.push_str(SHOW);
            text.push_str(
                "\nTo pay with Razorpay, order again, begin the payment so, and click Pay on the page:\n\n",
            );
            text.push_str(&PAY_BY_RAZORPAY.replace("RAZORPAY", &razorpay));
        }
    }
    text.push_str("\nCtrl-C stops everything and keeps the data.\n\n");
    text
}
