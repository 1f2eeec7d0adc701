//! Signatures by implementations that are not ours: the vendors' SDKs for Python, `pip install stripe==16.1.0
//! razorpay==2.0.1`. Stripe's computes them:
//!
//! ```python
//! from stripe import WebhookSignature
//! signature = WebhookSignature._compute_signature(f"{time}.{body}", secret)
//! assert WebhookSignature.verify_header(body, f"t={time},v1={signature}", secret)
//! ```
//!
//! Razorpay's only verifies. So these were computed by Python's `hmac`, and accepted by the SDK:
//!
//! ```python
//! import hmac, razorpay
//! sign = lambda secret, text: hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
//! razorpay.Client(auth=(key_id, key_secret)).utility.verify_payment_signature({"razorpay_order_id": order,
//!     "razorpay_payment_id": payment, "razorpay_signature": sign(key_secret, f"{order}|{payment}")})
//! razorpay.Client(auth=("", "")).utility.verify_webhook_signature(body, sign(secret, body), secret)
//! ```

use chrono::DateTime;
use commerce_core::money::Currency;
use commerce_core::payments::{
    PaymentProvider as _, ProviderError, ProviderName, RazorpayProvider, RazorpaySettings, StripeProvider,
    StripeSettings, WebhookDelivery, WebhookError,
};
use http::HeaderMap;
use serde_json::json;

use crate::given::{invoice, payment};

/// Secret, time, body, signature.
const STRIPE: [(&str, i64, &str, &str); 3] = [
    (
        "whsec_test_secret",
        1492774577,
        r#"{"id":"evt_1","object":"event","type":"checkout.session.completed"}"#,
        "8ab9655b7af9df2f1a9f827e46b7203d886d1e3de561ba20cedac6527bbd6ee9",
    ),
    (
        "whsec_5Wh5F0Nq",
        1798761600,
        r#"{"name":"Zoë Grüße 日本","amount":4150}"#,
        "5835d45532692f0728205fbad95007556c61941c2520daf447b77291f0ce64d6",
    ),
    ("whsec_x", 0, "", "4e8c2621ad6b7e8ee9325e803d12429025d82e5abc79b476cf0efabfaf9a6e57"),
];

#[test]
fn stripes_signatures_are_those_of_its_sdk() {
    for (secret, time, body, signature) in STRIPE {
        let mut settings = StripeSettings::new("sk_test", "https://shop.example", "https://shop.example");
        settings.webhook_secrets = vec![secret.to_owned()];
        let provider = StripeProvider::new(settings).unwrap();
        let read = |signature: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("stripe-signature", format!("t={time},v1={signature}").parse().unwrap());
            let at = DateTime::from_timestamp(time, 0).unwrap();
            provider.webhook(&WebhookDelivery::new(&headers, body.as_bytes(), at))
        };
        // These bodies are no whole events.
        assert!(matches!(read(signature), Err(WebhookError::Unreadable(_))), "{body}");
        assert!(matches!(read(&signature.replace('6', "7")), Err(WebhookError::Unverified)), "{body}");
    }
}

/// Secret, body, signature.
const RAZORPAY: [(&str, &str, &str); 2] = [
    (
        "webhook secret",
        r#"{"entity":"event","event":"payment.captured"}"#,
        "e0b2d5ceb1c751955dc193d408947951142cdff219be36b59bb5f1e248fd9cb6",
    ),
    (
        "webhook secret",
        r#"{"notes":{"name":"Zoë ₹"}}"#,
        "b585460679e079dc5dce806ba918c175752b285c41382f9562ba0d35fa9230d6",
    ),
];

#[test]
fn razorpays_webhook_signatures_are_those_of_its_sdk() {
    for (secret, body, signature) in RAZORPAY {
        let mut settings = RazorpaySettings::new("rzp_test", "secret");
        settings.webhook_secrets = vec![secret.to_owned()];
        let provider = RazorpayProvider::new(settings).unwrap();
        let read = |signature: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-razorpay-signature", signature.parse().unwrap());
            provider.webhook(&WebhookDelivery::new(&headers, body.as_bytes(), DateTime::UNIX_EPOCH))
        };
        assert!(!matches!(read(signature), Err(WebhookError::Unverified)), "{body}");
        assert!(matches!(read(&signature.replace('6', "7")), Err(WebhookError::Unverified)), "{body}");
    }
}

/// Order, payment, signature with the key secret `thisissecret`.
const CONFIRMATIONS: [(&str, &str, &str); 2] = [
    (
        "order_DaaS6LOUAASb7Y",
        "pay_DaaSJ3Vb9N2Jd6",
        "9f1e32c7b4c98180089bac520769697b9e361e86bf02f36f12e297a89c6accc6",
    ),
    (
        "order_9A33XWu170gUtm",
        "pay_29QQoUBi66xm2f",
        "18543eaa34beab5cb49ff755a3a14cda25cd5e46678169b3dac8c9df37550740",
    ),
];

#[tokio::test]
async fn razorpays_confirmations_are_those_of_its_sdk() {
    let mut settings = RazorpaySettings::new("rzp_test_1DP5mmOlF5G5ag", "thisissecret");
    // Nobody answers there, so a right signature is followed by a failed request.
    settings.api_base = "http://127.0.0.1:9".to_owned();
    let provider = RazorpayProvider::new(settings).unwrap();
    for (order, paid, signature) in CONFIRMATIONS {
        let mut attempt = payment(ProviderName::RAZORPAY, &invoice(Currency::USD));
        attempt.provider_reference = Some(order.to_owned());
        let details = |signature: &str| json!({ "razorpay_order_id": order, "razorpay_payment_id": paid, "razorpay_signature": signature });
        let right = provider.confirm(&attempt, &details(signature)).await;
        assert!(matches!(right, Err(ProviderError::Unreachable { .. })), "{right:?}");
        let wrong = provider.confirm(&attempt, &details(&signature.replace('6', "7"))).await;
        assert!(matches!(wrong, Err(ProviderError::InvalidDetails { .. })), "{wrong:?}");
    }
}
