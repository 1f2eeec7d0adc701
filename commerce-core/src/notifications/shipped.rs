//! The templates that ship: English, and German for the mails to customers.

/// A path below the folder of templates, and the text.
type File = (&'static str, &'static str);

macro_rules! files {
    ($($path:literal)+) => { &[$(($path, include_str!(concat!("templates/", $path)))),+] };
}

/// The subject, the text and the HTML of each mail.
macro_rules! mails {
    ($locale:literal: $($name:literal)+) => {
        &[$(
            mails!(@ $locale $name ".subject"),
            mails!(@ $locale $name ".txt"),
            mails!(@ $locale $name ".html"),
        )+]
    };
    (@ $locale:literal $name:literal $extension:literal) => {
        (
            concat!($locale, "/", $name, $extension),
            include_str!(concat!("templates/", $locale, "/", $name, $extension)),
        )
    };
}

const PARTS: &[File] = files![
    "layout.html" "button.html" "code.html" "signature.txt" "address.html" "address.txt" "order.html" "order.txt"
    "parcel.html" "parcel.txt" "return_goods.html" "return_goods.txt" "declaration.html" "declaration.txt"
    "en/locale.toml" "en/more.html" "en/more.txt" "de/locale.toml"
];

const ENGLISH: &[File] = mails!["en":
    "verify_email_code" "account_exists" "welcome" "password_reset" "set_password" "password_changed"
    "second_factor_set_up" "second_factor_removed" "email_change_code" "email_change_requested" "email_changed"
    "order_received" "order_authorized" "order_confirmed" "payment_failed" "order_cancelled" "order_part_cancelled"
    "order_shipped" "order_delivered" "order_link" "return_update" "withdrawal_received" "payment_refunded"
    "withdrawal_alert" "late_payment_alert" "payment_failed_alert" "payment_mismatch_alert"
    "authorization_lapses_alert" "dispute_alert" "refund_failed_alert" "refund_by_hand_alert" "refund_mismatch_alert"
    "low_stock_alert" "contact_message"
];

const GERMAN: &[File] = mails!["de":
    "verify_email_code" "account_exists" "welcome" "password_reset" "set_password" "password_changed"
    "second_factor_set_up" "second_factor_removed" "email_change_code" "email_change_requested" "email_changed"
    "order_received" "order_authorized" "order_confirmed" "payment_failed" "order_cancelled" "order_part_cancelled"
    "order_shipped" "order_delivered" "order_link" "return_update" "withdrawal_received" "payment_refunded"
];

/// Every file that ships.
pub(super) fn files() -> impl Iterator<Item = File> {
    [PARTS, ENGLISH, GERMAN].into_iter().flatten().copied()
}
