//! The stable problem codes, each with its status, its title and its meaning.

use poem::http::StatusCode;
use poem_openapi::Enum;
use serde::Serialize;

macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $status:ident $text:literal $title:literal),+ $(,)?) => {
        /// A stable code for programs.
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

            /// A short title, the same for every occurrence.
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
    /// The resource has a new slug. `Location` has its current address.
    Moved = MOVED_PERMANENTLY "moved" "Moved",
    /// The body does not match its content type: it is not valid JSON, or its text is not UTF-8.
    MalformedBody = BAD_REQUEST "malformed_body" "The body cannot be read",
    /// The webhook is not from the provider, was changed on its way, is too old, or cannot be read. Nothing was stored.
    WebhookUnverified = BAD_REQUEST "webhook_unverified" "The webhook is not verified",
    /// A path, query or header parameter does not have the documented form.
    InvalidParameter = BAD_REQUEST "invalid_parameter" "A parameter is invalid",
    /// The cursor does not belong to this list and sort order. Start again without a cursor.
    InvalidCursor = BAD_REQUEST "invalid_cursor" "The cursor is invalid",
    /// This operation requires an `Idempotency-Key`, so that a repeated request has no second effect.
    IdempotencyKeyRequired = BAD_REQUEST "idempotency_key_required" "An Idempotency-Key is required",
    /// No credential was sent, or the credential is wrong, expired or revoked.
    Unauthenticated = UNAUTHORIZED "unauthenticated" "Not logged in",
    /// The e-mail address or the password is wrong.
    InvalidCredentials = UNAUTHORIZED "invalid_credentials" "Wrong e-mail or password",
    /// The password is right, and the account has a second factor. Send `second_factor` too.
    SecondFactorRequired = UNAUTHORIZED "second_factor_required" "A second factor is required",
    /// The password is right, but the code of the second factor is wrong, or was used before.
    InvalidSecondFactor = UNAUTHORIZED "invalid_second_factor" "Wrong second factor",
    /// The refresh token is unknown, expired, revoked or already used. Log in again.
    InvalidRefreshToken = UNAUTHORIZED "invalid_refresh_token" "The refresh token is invalid",
    /// The caller's role does not include the permission that the operation needs.
    PermissionDenied = FORBIDDEN "permission_denied" "Not permitted",
    /// The shop lets staff work only with a second factor. Set one up with `POST /me/second-factor`.
    SecondFactorNotSetUp = FORBIDDEN "second_factor_not_set_up" "No second factor is set up",
    /// The password is right, but the e-mail address is not confirmed yet.
    EmailNotVerified = FORBIDDEN "email_not_verified" "The e-mail address is not confirmed",
    /// The password is right, but the shop has disabled the account.
    AccountDisabled = FORBIDDEN "account_disabled" "The account is disabled",
    /// A request with a session cookie came from a page of another site, or does not say where it came from.
    /// See `Origin`.
    CrossOrigin = FORBIDDEN "cross_origin" "Request from another origin",
    /// The password that confirms the operation is wrong.
    WrongPassword = FORBIDDEN "wrong_password" "The password is wrong",
    /// The resource does not exist, or it belongs to somebody else.
    NotFound = NOT_FOUND "not_found" "Not found",
    /// The path exists, but does not support this method. `Allow` lists the methods that it supports.
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed" "Method not allowed",
    /// A request with this Idempotency-Key is still being processed. Try again shortly.
    IdempotencyKeyInUse = CONFLICT "idempotency_key_in_use" "The Idempotency-Key is in use",
    /// The cart has no items to order.
    CartEmpty = CONFLICT "cart_empty" "The cart is empty",
    /// A cart holds at most 100 different variants.
    CartFull = CONFLICT "cart_full" "The cart is full",
    /// Less is in stock than was requested. `lines` lists each variant that is short, with `requested` and
    /// `available`.
    OutOfStock = CONFLICT "out_of_stock" "Not enough in stock",
    /// Variants do not exist or are no longer sold. `variant_ids` lists them.
    NotForSale = CONFLICT "not_for_sale" "Not for sale",
    /// The shopper keeps too much from other shoppers without having paid for it: too many unpaid orders, or too many
    /// units in them and in the cart. Pay or cancel an order first.
    HoldLimit = CONFLICT "hold_limit" "Too much is held",
    /// The total differs from `expected_total`. `total` has the current total.
    PriceChanged = CONFLICT "price_changed" "The price has changed",
    /// An amount or price is not in the shop's currency.
    CurrencyMismatch = CONFLICT "currency_mismatch" "Wrong currency",
    /// The order's `status` does not allow this operation.
    OrderState = CONFLICT "order_state" "The order's state does not allow it",
    /// Another payment for this order is under way. Complete it, or try again when `Retry-After` says.
    PaymentUnderWay = CONFLICT "payment_under_way" "A payment is under way",
    /// An order can have at most 20 payments, whether or not they succeed. Place a new order.
    TooManyPayments = CONFLICT "too_many_payments" "Too many payments",
    /// The payment's status does not allow this operation. `detail` says which status it has.
    PaymentState = CONFLICT "payment_state" "The payment's state does not allow it",
    /// The payment provider refused. `detail` has its reason.
    ProviderRefused = CONFLICT "provider_refused" "The payment provider refused",
    /// The event is of no interest to the shop, so there is nothing to replay.
    WebhookIgnored = CONFLICT "webhook_ignored" "The event is ignored",
    /// The refund has succeeded, is in progress, is paid by hand, or was replaced by another. Or nothing is left to
    /// refund. `detail` says which.
    RefundState = CONFLICT "refund_state" "The refund's state does not allow it",
    /// The return's status does not allow this operation. `detail` says which status it has.
    ReturnState = CONFLICT "return_state" "The return's state does not allow it",
    /// The goods cannot be returned any more. `units_left` has how many of the line can be.
    ReturnTooLate = CONFLICT "return_too_late" "Too late to return",
    /// The time to pay this order has run out, and its stock is released. Place a new order.
    OrderExpired = CONFLICT "order_expired" "The order has expired",
    /// Another resource of this kind has this slug.
    SlugTaken = CONFLICT "slug_taken" "The slug is taken",
    /// Another variant has this SKU.
    SkuTaken = CONFLICT "sku_taken" "The SKU is taken",
    /// The product already has a variant with these options, active or not.
    OptionsTaken = CONFLICT "options_taken" "The options are taken",
    /// The category has products (`products` says how many) or child categories (`children` lists them).
    CategoryInUse = CONFLICT "category_in_use" "The category is in use",
    /// The change would leave no admin who can log in. Make another user an admin first.
    LastAdmin = CONFLICT "last_admin" "This is the last admin",
    /// The account has a second factor. Remove it before you set up another.
    SecondFactorExists = CONFLICT "second_factor_exists" "There is a second factor",
    /// The address book holds at most 50 addresses. Delete one first.
    AddressBookFull = CONFLICT "address_book_full" "The address book is full",
    /// Only one import can run at a time. Send the file again when the other import has ended.
    ImportRunning = CONFLICT "import_running" "Another import is running",
    /// Units that are reserved for orders or carts cannot be removed from stock.
    StockReserved = CONFLICT "stock_reserved" "The stock is reserved",
    /// Too few units that are not reserved are at the location. `lines` lists each variant that is short, with `requested`
    /// and `available`.
    TooFewUnits = CONFLICT "too_few_units" "Too few units are there",
    /// Another location has this code.
    LocationCodeTaken = CONFLICT "location_code_taken" "The code is taken",
    /// The location has units, or it is the main location. Transfer the units first, or make the location inactive.
    LocationInUse = CONFLICT "location_in_use" "The location is in use",
    /// A shop has at most 200 locations. Delete one first.
    TooManyLocations = CONFLICT "too_many_locations" "Too many locations",
    /// A worker runs the job. Wait until the attempt has ended.
    JobRunning = CONFLICT "job_running" "The job is running",
    /// The status of the shipment does not allow this operation, or another shipment replaces it.
    ShipmentState = CONFLICT "shipment_state" "The shipment's state does not allow it",
    /// The carrier has another shipment with this tracking number.
    TrackingNumberTaken = CONFLICT "tracking_number_taken" "The tracking number is taken",
    /// Several carriers have a shipment with this tracking number. `shipments` lists them. Send `carrier`, or use the
    /// id.
    TrackingNumberAmbiguous = CONFLICT "tracking_number_ambiguous" "The tracking number is ambiguous",
    /// The resource has changed since its `ETag` was read. Get it again.
    VersionMismatch = PRECONDITION_FAILED "version_mismatch" "The resource has changed",
    /// The body is larger than the operation accepts.
    BodyTooLarge = PAYLOAD_TOO_LARGE "body_too_large" "The body is too large",
    /// The `Content-Type` of the body is missing, or the operation does not support it.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "Unsupported media type",
    /// The file does not have the requested range. `size` is its size in bytes.
    RangeNotSatisfiable = RANGE_NOT_SATISFIABLE "range_not_satisfiable" "The range is not in the file",
    /// The body can be read, but some of its fields are invalid. `errors` points at each of them.
    ValidationFailed = UNPROCESSABLE_ENTITY "validation_failed" "Fields are invalid",
    /// This Idempotency-Key was used for a request with a different body.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY "idempotency_key_reused" "The Idempotency-Key was used before",
    /// The code is wrong, was used, or is too old. A mailed code is good for ten minutes and five guesses: request a
    /// new one then.
    InvalidCode = UNPROCESSABLE_ENTITY "invalid_code" "The code is invalid",
    /// The link was used, is older than thirty minutes, or became invalid when the password changed. Request
    /// another link.
    InvalidResetToken = UNPROCESSABLE_ENTITY "invalid_reset_token" "The link is invalid",
    /// Too many requests. Wait as long as `Retry-After` says.
    RateLimited = TOO_MANY_REQUESTS "rate_limited" "Too many requests",
    /// The server failed. Its log has the cause under the request id.
    Internal = INTERNAL_SERVER_ERROR "internal" "Internal error",
    /// The payment provider did not answer. Send the same request with the same Idempotency-Key again.
    ProviderUnavailable = BAD_GATEWAY "provider_unavailable" "The payment provider is unavailable",
    /// The server is overloaded, or a part of it is down. `Retry-After` says when to try again.
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
