//! The stable codes of problems: what each is called, which status it has, what it means.

use poem::http::StatusCode;
use poem_openapi::Enum;
use serde::Serialize;

macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $status:ident $text:literal $title:literal),+ $(,)?) => {
        /// Stable, for programs to decide by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Enum)]
        #[oai(rename = "ProblemCode")]
        pub enum Code {
            $(
                $(#[doc = $meaning])+
                #[serde(rename = $text)]
                #[oai(rename = $text)]
                $variant,
            )+
        }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text),+ }
            }

            pub const fn status(self) -> StatusCode {
                match self { $(Code::$variant => StatusCode::$status),+ }
            }

            /// A few words, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),+ }
            }

            /// What it means and what to do about it.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$variant => concat!($($meaning),+)),+ }
            }
        }
    };
}

codes! {
    /// It has another slug now: `Location` leads there.
    Moved = MOVED_PERMANENTLY "moved" "Moved",
    /// The body is not what its content type says: JSON that does not parse, text that is not UTF-8.
    MalformedBody = BAD_REQUEST "malformed_body" "The body cannot be read",
    /// A path, query or header parameter does not have the form that the spec asks for.
    InvalidParameter = BAD_REQUEST "invalid_parameter" "A parameter is invalid",
    /// The cursor was not issued by this list in this sort order: start again without it.
    InvalidCursor = BAD_REQUEST "invalid_cursor" "The cursor is invalid",
    /// This operation must carry an `Idempotency-Key`, so that sending it twice cannot do it twice.
    IdempotencyKeyRequired = BAD_REQUEST "idempotency_key_required" "An Idempotency-Key is required",
    /// No credential was sent, or it is wrong, past its time or revoked.
    Unauthenticated = UNAUTHORIZED "unauthenticated" "Not logged in",
    /// E-mail and password do not belong together.
    InvalidCredentials = UNAUTHORIZED "invalid_credentials" "Wrong e-mail or password",
    /// The refresh token is unknown, past its time, revoked, or was used before: log in again.
    InvalidRefreshToken = UNAUTHORIZED "invalid_refresh_token" "The refresh token is not good",
    /// The caller's role does not include the permission that the operation names.
    PermissionDenied = FORBIDDEN "permission_denied" "Not permitted",
    /// The password is right, but the e-mail address was not confirmed yet.
    EmailNotVerified = FORBIDDEN "email_not_verified" "The e-mail address is not confirmed",
    /// The password is right, but the account was disabled by the shop.
    AccountDisabled = FORBIDDEN "account_disabled" "The account is disabled",
    /// The cookie of a session was sent by a page of another site, or nothing says by which page: see `Origin`.
    CrossOrigin = FORBIDDEN "cross_origin" "From another origin",
    /// The operation asks for the account's password once more, and it is another.
    WrongPassword = FORBIDDEN "wrong_password" "The password is wrong",
    /// There is no such thing, or it belongs to someone else.
    NotFound = NOT_FOUND "not_found" "Not found",
    /// The path exists, but not with this method; `Allow` lists those it has.
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed" "Method not allowed",
    /// A request with this Idempotency-Key is still being worked on: ask again shortly.
    IdempotencyKeyInUse = CONFLICT "idempotency_key_in_use" "The Idempotency-Key is in use",
    /// There is nothing in the cart to order.
    CartEmpty = CONFLICT "cart_empty" "The cart is empty",
    /// A cart holds at most 100 different variants.
    CartFull = CONFLICT "cart_full" "The cart is full",
    /// There is less than was asked for: `lines` names each short variant with `requested` and `available`.
    OutOfStock = CONFLICT "out_of_stock" "Not enough in stock",
    /// Variants do not exist or are no longer sold: `variant_ids` names them.
    NotForSale = CONFLICT "not_for_sale" "Not for sale",
    /// The total is not the `expected_total`; `total` says what it is now.
    PriceChanged = CONFLICT "price_changed" "The price has changed",
    /// An amount or price is not in the shop's currency.
    CurrencyMismatch = CONFLICT "currency_mismatch" "Another currency",
    /// The order's `status` does not allow the step.
    OrderState = CONFLICT "order_state" "The order's state does not allow it",
    /// The refund has succeeded, is under way, or has been replaced by another: `detail` says which.
    RefundState = CONFLICT "refund_state" "The refund's state does not allow it",
    /// The time to pay this order is over; its stock goes back on the shelf. Order again.
    OrderExpired = CONFLICT "order_expired" "The order has expired",
    /// The tracking number belongs to another shipment.
    TrackingNumberTaken = CONFLICT "tracking_number_taken" "The tracking number is taken",
    /// The slug belongs to another resource of this kind.
    SlugTaken = CONFLICT "slug_taken" "The slug is taken",
    /// The SKU belongs to another variant.
    SkuTaken = CONFLICT "sku_taken" "The SKU is taken",
    /// The product has a variant with these options already, active or not.
    OptionsTaken = CONFLICT "options_taken" "The options are taken",
    /// Products are in the category (`products` says how many), or categories below it (`children` names them).
    CategoryInUse = CONFLICT "category_in_use" "The category is in use",
    /// No other admin who can log in would be left: make somebody else an admin first.
    LastAdmin = CONFLICT "last_admin" "This is the last admin",
    /// The address book holds at most 50 addresses: remove one first.
    AddressBookFull = CONFLICT "address_book_full" "The address book is full",
    /// One import at a time: send the file again when the other has ended.
    ImportRunning = CONFLICT "import_running" "Another import is running",
    /// Units that are reserved for orders or carts cannot be taken from stock.
    StockReserved = CONFLICT "stock_reserved" "The stock is reserved",
    /// The resource has changed since its `ETag` was read: read it again.
    VersionMismatch = PRECONDITION_FAILED "version_mismatch" "The resource has changed",
    /// The body is larger than the operation takes.
    BodyTooLarge = PAYLOAD_TOO_LARGE "body_too_large" "The body is too large",
    /// The body's `Content-Type` is missing or not one that the operation reads.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "Unsupported media type",
    /// The file has no such part: `size` says how many bytes it has.
    RangeNotSatisfiable = RANGE_NOT_SATISFIABLE "range_not_satisfiable" "No such part of the file",
    /// The body can be read, but fields of it are wrong: `errors` points at each.
    ValidationFailed = UNPROCESSABLE_ENTITY "validation_failed" "Fields are invalid",
    /// This Idempotency-Key was used for a request with another body.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY "idempotency_key_reused" "The Idempotency-Key was used before",
    /// The code is wrong, used up or past its ten minutes; after five wrong guesses a new one is needed.
    InvalidCode = UNPROCESSABLE_ENTITY "invalid_code" "The code is not good",
    /// The link was used, is past its thirty minutes, or a later change of the password made it useless: ask for another.
    InvalidResetToken = UNPROCESSABLE_ENTITY "invalid_reset_token" "The link is not good",
    /// Too many requests at this moment: wait as `Retry-After` says.
    RateLimited = TOO_MANY_REQUESTS "rate_limited" "Too many requests",
    /// Something went wrong in the server; it is logged under the request id.
    Internal = INTERNAL_SERVER_ERROR "internal" "Internal error",
    /// The payment provider did not answer: send the same request with the same Idempotency-Key again.
    ProviderUnavailable = BAD_GATEWAY "provider_unavailable" "The payment provider is away",
    /// The server is overloaded or a part of it is away; `Retry-After` says when to try again.
    Unavailable = SERVICE_UNAVAILABLE "unavailable" "Temporarily unavailable",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_snake_case_words() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{} is there twice", code.as_str());
            assert!(code.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            let is_refusal = code.status().as_u16() >= 400 || code == &Code::Moved;
            assert!(is_refusal && !code.meaning().is_empty(), "{}", code.as_str());
        }
    }
}
