//! All id types. Each id is a UUIDv7 (RFC 9562) in a type of its own, so that a variant's id cannot be passed
//! as a product's.

use uuid::Uuid;

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id. Later ids sort after earlier ones.
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl diesel::serialize::ToSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
            ) -> diesel::serialize::Result {
                <Uuid as diesel::serialize::ToSql<diesel::sql_types::Uuid, diesel::pg::Pg>>::to_sql(&self.0, out)
            }
        }

        impl diesel::deserialize::FromSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
            fn from_sql(bytes: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                <Uuid as diesel::deserialize::FromSql<diesel::sql_types::Uuid, diesel::pg::Pg>>::from_sql(bytes)
                    .map(Self)
            }
        }
    )+};
}

ids! {
    /// An address in a user's address book.
    AddressId,
    /// An entry of the audit log.
    AuditEntryId,
    /// A cart.
    CartId,
    /// A category.
    CategoryId,
    /// A checkpoint of a shipment.
    CheckpointId,
    /// A one-time code.
    CodeId,
    /// A message that a visitor wrote to the shop.
    ContactMessageId,
    /// A mail.
    EmailId,
    /// An image of a product.
    ImageId,
    /// A job.
    JobId,
    /// A worker's lease of a job.
    LeaseToken,
    /// A place where stock is kept.
    LocationId,
    /// A movement of stock.
    MovementId,
    /// An event in an order's timeline.
    OrderEventId,
    /// A mailed link to an order.
    OrderLinkId,
    /// An order.
    OrderId,
    /// A line of an order.
    OrderLineId,
    /// An attempt to pay.
    PaymentId,
    /// A product.
    ProductId,
    /// A refund.
    RefundId,
    /// A reservation of stock.
    ReservationId,
    /// Goods that come back.
    ReturnId,
    /// A login.
    SessionId,
    /// A shipment.
    ShipmentId,
    /// A user.
    UserId,
    /// A variant of a product.
    VariantId,
    /// A webhook's event.
    WebhookId,
    /// A declaration of withdrawal.
    WithdrawalId,
}
