//! Peers of payment providers on this machine, and the settings with which the shop uses them.

use anyhow::{Result, bail};

use super::settings::{Settings, free_address};

/// Where the peers listen: a variable, an address, and the setting of the API's URL.
const PEERS: [(&str, &str, &str); 2] = [
    ("COMMERCE_STRIPE_PEER_ADDR", "127.0.0.1:8083", "STRIPE_API_BASE"),
    ("COMMERCE_RAZORPAY_PEER_ADDR", "127.0.0.1:8084", "RAZORPAY_API_BASE"),
];

/// Keys that are good at the peers only.
const KEYS: [(&str, &str); 5] = [
    ("STRIPE_SECRET_KEY", "sk_test_of_the_peer"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_of_the_peer"),
    ("RAZORPAY_KEY_ID", "rzp_test_of_the_peer"),
    ("RAZORPAY_KEY_SECRET", "key_secret_of_the_peer"),
    ("RAZORPAY_WEBHOOK_SECRET", "webhook_secret_of_the_peer"),
];

/// Enables the providers at their peers. Real keys must not get to a peer, and ours not to a real provider.
pub fn fill_in(settings: &mut Settings) -> Result<()> {
    for name in KEYS.iter().map(|(name, _)| name).chain(PEERS.iter().map(|(_, _, base)| base)) {
        if settings.get(name).is_some() {
            bail!("--with-provider-peers has keys and addresses of its own: unset {name}");
        }
    }
    for (name, value) in KEYS {
        settings.set(name, value);
    }
    for (name, default, base) in PEERS {
        if settings.get(name).is_none() {
            settings.set(name, free_address(name, default)?);
        }
        settings.set(base, format!("http://{}", settings.http_address(name)?));
    }
    settings.set("COMMERCE_PAYMENT_PROVIDERS", "mock,stripe,razorpay");
    Ok(())
}
