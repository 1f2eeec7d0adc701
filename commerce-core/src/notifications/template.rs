//! Which mails there are.

use crate::text_enum::text_enum;

text_enum! {
    /// What a mail tells. The comment says what its `data` must hold, apart from which nothing is needed: names, prices
    /// and codes are looked up when the mail is sent.
    #[non_exhaustive]
    pub enum Template {
        /// `code_id`: proves that the reader owns the address.
        VerifyEmailCode = "verify_email_code",
        /// `user_id`: someone tried to register with an address that has an account.
        AccountExists = "account_exists",
        /// `user_id`: the address is verified, the account can be used.
        Welcome = "welcome",
        /// `code_id`: a forgotten password can be set anew, by a link or by a code.
        PasswordReset = "password_reset",
        /// `code_id`: the address is verified, but several passwords were given for it, so that none was kept. As for a forgotten one.
        SetPassword = "set_password",
        /// `user_id`: the password is another now.
        PasswordChanged = "password_changed",
        /// `user_id`: logins ask for a second factor from now on.
        SecondFactorSetUp = "second_factor_set_up",
        /// `user_id`: logins ask for the password alone from now on.
        SecondFactorRemoved = "second_factor_removed",
        /// `code_id`, to the new address: proves that it is the account's owner's.
        EmailChangeCode = "email_change_code",
        /// `user_id`, to the old address: somebody wants the account under another one.
        EmailChangeRequested = "email_change_requested",
        /// `user_id`, to the old address: the account is under another one now.
        EmailChanged = "email_changed",
        /// `order_id`: placed, and waits for payment. With `payment_id`, it has the link to pay.
        OrderReceived = "order_received",
        /// `order_id`: a provider holds the money, which is taken later.
        OrderAuthorized = "order_authorized",
        /// `order_id`: paid.
        OrderConfirmed = "order_confirmed",
        /// `order_id`: a payment did not go through, and the order waits for another.
        PaymentFailed = "payment_failed",
        /// `order_id`: cancelled, and why.
        OrderCancelled = "order_cancelled",
        /// `order_id`, `units`, `refund` and `by_customer`: units of it were cancelled.
        OrderPartCancelled = "order_part_cancelled",
        /// `order_id` and `shipment_id`: a parcel is on its way.
        OrderShipped = "order_shipped",
        /// `order_id` and `shipment_id`: a parcel has arrived.
        OrderDelivered = "order_delivered",
        /// `order_id` and `link_id`: a link to the order, for whoever asked for it.
        OrderLink = "order_link",
        /// `return_id` and `status`: what became of goods that the shopper gives back.
        ReturnUpdate = "return_update",
        /// `withdrawal_id`: a declaration of withdrawal has come, with its content and time.
        WithdrawalReceived = "withdrawal_received",
        /// `withdrawal_id`, to the shop: somebody has withdrawn from a contract.
        WithdrawalAlert = "withdrawal_alert",
        /// `refund_id`: money goes back.
        PaymentRefunded = "payment_refunded",
        /// `order_id` and `by_hand`, to the shop: money came for a cancelled order that could not be brought back. It goes
        /// back, and `by_hand` says that staff must see to it.
        LatePaymentAlert = "late_payment_alert",
        /// `order_id`, `provider`, `amount` and `code`, to the shop: a provider refused a payment.
        PaymentFailedAlert = "payment_failed_alert",
        /// `order_id`, `asked`, `captured` and `counted`, to the shop: a provider took another amount, or another currency,
        /// than it was asked to.
        PaymentMismatchAlert = "payment_mismatch_alert",
        /// `order_id` and `lapses_at`, to the shop: authorized money is soon lost, unless it is captured.
        AuthorizationLapsesAlert = "authorization_lapses_alert",
        /// `order_id`, `amount`, `reason` and `state`, to the shop: a shopper's bank disputes a payment.
        DisputeAlert = "dispute_alert",
        /// `refund_id`, to the shop: a provider refused to give money back.
        RefundFailedAlert = "refund_failed_alert",
        /// `refund_id`, to the shop: a manual payment is to be paid back.
        RefundByHandAlert = "refund_by_hand_alert",
        /// `refund_id`, to the shop: a provider gave money back that had gone back another way.
        RefundMismatchAlert = "refund_mismatch_alert",
        /// `variant_ids` and `further`, to the shop: variants have become low, and so many more.
        LowStockAlert = "low_stock_alert",
        /// `message_id`, to the shop: what a visitor wrote. An answer goes to the visitor.
        ContactMessage = "contact_message",
    }
}

impl Template {
    /// Whether the reader is the shop itself. Other mails are to customers.
    pub const fn is_to_shop(self) -> bool {
        matches!(self.purpose(), Purpose::Shop)
    }

    /// Whether the mail belongs to something that its reader did or that concerns them: an order, an account, a
    /// message, or the shop's own business. Such a mail has no `List-Unsubscribe` (RFC 8058), and nobody can opt out
    /// of it. All mails are such mails so far. For another kind, decide here, and give it the header and a way to opt
    /// out.
    pub const fn is_transactional(self) -> bool {
        match self.purpose() {
            Purpose::Shop | Purpose::Customer => true,
        }
    }

    const fn purpose(self) -> Purpose {
        match self {
            Self::WithdrawalAlert
            | Self::LatePaymentAlert
            | Self::PaymentFailedAlert
            | Self::PaymentMismatchAlert
            | Self::AuthorizationLapsesAlert
            | Self::DisputeAlert
            | Self::RefundFailedAlert
            | Self::RefundByHandAlert
            | Self::RefundMismatchAlert
            // To the shop alone, which sets the address.
            | Self::LowStockAlert
            | Self::ContactMessage => Purpose::Shop,
            Self::VerifyEmailCode
            | Self::AccountExists
            | Self::Welcome
            | Self::PasswordReset
            | Self::SetPassword
            | Self::PasswordChanged
            | Self::SecondFactorSetUp
            | Self::SecondFactorRemoved
            | Self::EmailChangeCode
            | Self::EmailChangeRequested
            | Self::EmailChanged
            | Self::OrderReceived
            | Self::OrderAuthorized
            | Self::OrderConfirmed
            | Self::PaymentFailed
            | Self::OrderCancelled
            | Self::OrderPartCancelled
            | Self::OrderShipped
            | Self::OrderDelivered
            | Self::OrderLink
            | Self::ReturnUpdate
            | Self::WithdrawalReceived
            | Self::PaymentRefunded => Purpose::Customer,
        }
    }
}

/// What a mail is for.
enum Purpose {
    /// The shop's own business.
    Shop,
    /// An order or an account of the customer.
    Customer,
}
