//! Who may take which step of an order.

use commerce_core::accounts::Role::{self, Admin, Customer, Fulfilment, Support};
use poem::http::Method;
use serde_json::json;

use crate::shop::{TestShop, ask};
use crate::world::{Buyer, bearer, fingerprint};

/// Each step of an order asks for what it does: sending goods off, giving money back.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_an_order_needs_the_permission_for_what_it_does() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 1_000).await.to_string();
    const ALL: &[Role] = &[Support, Fulfilment, Admin];
    const ADMINS: &[Role] = &[Admin];
    let table: [(&[&str], bool, &str, &[Role]); 6] = [
        (&[], false, "cancelled", ALL),
        (&[], true, "cancelled", ADMINS),
        (&["processing"], true, "cancelled", ADMINS),
        (&[], true, "processing", ALL),
        (&[], true, "shipped", &[Fulfilment, Admin]),
        (&["shipped"], true, "delivered", &[Fulfilment, Admin]),
    ];
    let admin = shop.login(Admin).await.1;
    for (before, paid, step, allowed) in table {
        for role in ALL {
            let staff = shop.login(*role).await.1;
            let buyer = Buyer::new(&shop, &variant, bearer(&shop.login(Customer).await.1)).await;
            if paid {
                let confirm = ask(Method::POST, &format!("/v1/payments/{}/confirm", buyer.payment));
                let confirmed = shop.send(confirm.header(buyer.credential.0, &buyer.credential.1)).await;
                assert_eq!(confirmed.json()["status"], "succeeded", "{}", confirmed.text);
            }
            let path = format!("/v1/admin/orders/{}/status", buyer.order);
            let to = |step: &str| ask(Method::PATCH, &path).json(&json!({ "status": step }));
            for earlier in before {
                assert_eq!(shop.send(to(earlier).bearer(&admin)).await.status, 200);
            }
            let unchanged = fingerprint(&shop).await;
            let got = shop.send(to(step).bearer(&staff)).await;
            if allowed.contains(role) {
                assert_eq!(got.status, 200, "{role}, {step}, paid: {paid}: {}", got.text);
                continue;
            }
            got.problem(403, "permission_denied");
            let missing = if step == "cancelled" { "payments.refund" } else { "shipments.write" };
            assert!(got.json()["detail"].as_str().unwrap().contains(missing), "{}", got.text);
            // That is told before whether the order has changed.
            let stale = shop.send(to(step).bearer(&staff).header("If-Match", "\"1\"")).await;
            stale.problem(403, "permission_denied");
            assert_eq!(fingerprint(&shop).await, unchanged, "{role}, {step}");
        }
    }
    shop.database.finish().await;
}
