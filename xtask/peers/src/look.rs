//! How the pages for shoppers look.

use crate::call::{Reply, escape};

const STYLE: &str = "body { margin: 0; padding: 48px 24px; background: #f5f5f4; color: #1c1917; font: 16px/1.5 system-ui, sans-serif }
main { max-width: 400px; margin: 0 auto; padding: 32px; background: #fff; border-radius: 8px; overflow-wrap: anywhere }
h1 { margin: 0 0 16px; font-size: 22px }
p, ul, form { margin: 0 0 16px }
main > p:last-of-type { margin-bottom: 0 }
ul { padding-left: 20px }
small { color: #57534e }
button { width: 100%; padding: 12px; border: 1px solid #1c1917; border-radius: 6px; background: #fff; color: inherit; font: inherit; cursor: pointer }
#pay { background: #1c1917; color: #fff }
#declined { color: #b91c1c }
a { color: inherit }
pre { padding: 12px; background: #f5f5f4; border-radius: 6px; font-size: 13px; white-space: pre-wrap }
@media (max-width: 500px) { body { padding: 16px } main { padding: 24px } }";

/// A page with this body, which is HTML.
pub fn page(title: &str, body: &str) -> Reply {
    Reply::html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style></head>\
         <body><main>{body}</main></body></html>",
        title = escape(title)
    ))
}

/// What is said on every page.
pub const NO_REAL_MONEY: &str =
    "<p><small>This page stands in for the provider's. No real money moves.</small></p>";

/// An amount as people write it, such as `12.50 USD`.
pub fn price(minor: i64, currency: &str) -> String {
    let currency = currency.to_uppercase();
    let places = match currency.as_str() {
        "CLP" | "JPY" | "KRW" | "PYG" | "VND" | "XAF" | "XOF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    let unit = 10_i64.pow(places);
    let (whole, rest) = (minor / unit, minor % unit);
    match places {
        0 => format!("{whole} {currency}"),
        places => format!("{whole}.{rest:0width$} {currency}", width = places as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::price;

    #[test]
    fn prices_are_written_as_people_do() {
        for (minor, currency, written) in [
            (12_800, "usd", "128.00 USD"),
            (5, "INR", "0.05 INR"),
            (500, "jpy", "500 JPY"),
            (1250, "KWD", "1.250 KWD"),
        ] {
            assert_eq!(price(minor, currency), written);
        }
    }
}
