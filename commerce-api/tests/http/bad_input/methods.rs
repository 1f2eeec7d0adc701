//! Methods and paths that there are not.

use poem::http::Method;

use crate::shop::{TestShop, ask};
use crate::surface::{Surface, form_faults};
use crate::world::{World, fingerprint};

#[tokio::test(flavor = "multi_thread")]
async fn every_other_method_and_path() {
    let shop = TestShop::new().await;
    let world = World::new(&shop).await;
    let before = fingerprint(&shop).await;
    let mut faults = Vec::new();
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"];
    for (template, known) in Surface::read().paths() {
        let path = world.path(&template, None, None);
        let mut allowed: Vec<String> = known.iter().map(Method::to_string).collect();
        if allowed.contains(&"GET".to_owned()) {
            allowed.push("HEAD".to_owned());
        }
        allowed.sort();
        for method in methods.iter().filter(|method| !allowed.contains(&(**method).to_owned())) {
            let got = shop.send(ask(method.parse().unwrap(), &path)).await;
            // A path that is also that of another template may have the method there.
            let mut wrong = form_faults(&got);
            let mut listed: Vec<&str> = got.header("allow").unwrap_or_default().split(", ").collect();
            listed.sort_unstable();
            if got.status != 405 || !allowed.iter().all(|method| listed.contains(&method.as_str())) {
                wrong.push(format!("{} with Allow {listed:?}", got.status));
            }
            faults.extend(wrong.into_iter().map(|fault| format!("{method} {template}: {fault}")));
        }
        if allowed.contains(&"HEAD".to_owned()) {
            let (whole, head) =
                (shop.send(ask(Method::GET, &path)).await, shop.send(ask(Method::HEAD, &path)).await);
            if whole.status != head.status {
                faults.push(format!("HEAD {template}: {} where GET is {}", head.status, whole.status));
            }
        }
    }
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/products",
        "/v1/no-such-thing",
        "/v1/cart/items/",
        "/v1//cart",
        "/v1/cart/",
        "/v1/%00",
        "/%ff",
        "/docs/../etc/passwd",
        "/docs/x",
        "/V1/cart",
        "/v1/orders/a/b/c",
        "/.env",
        "/problems/%00",
        "/problems/",
    ] {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            let got = shop.send(ask(method.parse().unwrap(), path)).await;
            faults.extend(form_faults(&got).into_iter().map(|fault| format!("{method} {path}: {fault}")));
            let known = path.starts_with("/problems/") && method != "GET";
            if !known && ![404, 400].contains(&got.status.as_u16()) {
                faults.push(format!("{method} {path}: {}", got.status));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(fingerprint(&shop).await, before);
    shop.database.finish().await;
}
