//! What an entry says about its subject: the fields that staff can change, named one by one, so that a secret
//! is never among them.

use diesel::OptionalExtension as _;
use diesel::prelude::{QueryResult, QueryableByName};
use diesel::sql_types::{Jsonb, Nullable, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use crate::db::{AdvisoryLock, advisory_lock};
use crate::ids::{
    CategoryId, ContactMessageId, JobId, LocationId, OrderId, ProductId, UserId, VariantId, WebhookId,
};
use crate::text_enum::text_enum;

text_enum! {
    /// What kind of thing was changed.
    pub enum SubjectKind {
        /// An account.
        User = "user",
        /// A product with its variants and images.
        Product = "product",
        /// A category.
        Category = "category",
        /// The stock levels of a variant.
        Stock = "stock",
        /// Many stock levels at once, by a file or a transfer.
        Inventory = "inventory",
        /// A place where stock is kept.
        StockLocation = "stock_location",
        /// An order.
        Order = "order",
        /// Many products at once, by an import.
        Catalogue = "catalogue",
        /// The order of the categories.
        CategoryOrder = "category_order",
        /// An event that a payment provider has reported.
        Webhook = "webhook",
        /// A message that a visitor wrote.
        ContactMessage = "contact_message",
        /// A job.
        Job = "job",
        /// Many jobs at once, or all of a kind.
        Jobs = "jobs",
        /// Data of customers, which was read and not changed.
        PersonalData = "personal_data",
    }
}

/// What was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// An account.
    User(UserId),
    /// With its variants and images.
    Product(ProductId),
    /// A category.
    Category(CategoryId),
    /// The stock levels of a variant.
    Stock(VariantId),
    /// Many stock levels at once, by a file or a transfer.
    Inventory,
    /// A place where stock is kept.
    StockLocation(LocationId),
    /// An order.
    Order(OrderId),
    /// Many products at once, by an import.
    Catalogue,
    /// The order of the categories.
    CategoryOrder,
    /// An event that a payment provider has reported.
    Webhook(WebhookId),
    /// A message that a visitor wrote.
    ContactMessage(ContactMessageId),
    /// A job.
    Job(JobId),
    /// Many jobs at once, or all of a kind.
    Jobs,
    /// Data of customers, which was read and not changed.
    PersonalData,
}

impl Subject {
    /// Its kind.
    pub fn kind(self) -> SubjectKind {
        match self {
            Self::User(_) => SubjectKind::User,
            Self::Product(_) => SubjectKind::Product,
            Self::Category(_) => SubjectKind::Category,
            Self::Stock(_) => SubjectKind::Stock,
            Self::Inventory => SubjectKind::Inventory,
            Self::StockLocation(_) => SubjectKind::StockLocation,
            Self::Order(_) => SubjectKind::Order,
            Self::Catalogue => SubjectKind::Catalogue,
            Self::CategoryOrder => SubjectKind::CategoryOrder,
            Self::Webhook(_) => SubjectKind::Webhook,
            Self::ContactMessage(_) => SubjectKind::ContactMessage,
            Self::Job(_) => SubjectKind::Job,
            Self::Jobs => SubjectKind::Jobs,
            Self::PersonalData => SubjectKind::PersonalData,
        }
    }

    /// Its id, if it is one thing.
    pub fn id(self) -> Option<String> {
        self.uuid().map(|id| id.to_string())
    }

    fn uuid(self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(id.0),
            Self::Product(id) => Some(id.0),
            Self::Category(id) => Some(id.0),
            Self::Stock(id) => Some(id.0),
            Self::Order(id) => Some(id.0),
            Self::Webhook(id) => Some(id.0),
            Self::StockLocation(id) => Some(id.0),
            Self::ContactMessage(id) => Some(id.0),
            Self::Job(id) => Some(id.0),
            Self::Catalogue | Self::CategoryOrder | Self::Inventory | Self::Jobs | Self::PersonalData => None,
        }
    }

    /// Locks the rows that the change is about to lock, in the same way, so that the rows that are read are
    /// those that are changed.
    fn lock(self) -> &'static str {
        match self {
            Self::User(_) => "SELECT FROM commerce.users WHERE id = $1 FOR NO KEY UPDATE",
            Self::Product(_) => "SELECT FROM commerce.products WHERE id = $1 FOR NO KEY UPDATE",
            Self::Category(_) => "SELECT FROM commerce.categories WHERE id = $1 FOR NO KEY UPDATE",
            Self::CategoryOrder => {
                "SELECT FROM commerce.categories WHERE $1 IS NULL OR true ORDER BY id FOR NO KEY UPDATE"
            }
            Self::Stock(_) => {
                "SELECT FROM commerce.stock_levels WHERE variant_id = $1 ORDER BY variant_id, location_id FOR UPDATE"
            }
            Self::Order(_) => "SELECT FROM commerce.orders WHERE id = $1 FOR UPDATE",
            Self::Webhook(_) => "SELECT FROM commerce.inbound_webhooks WHERE id = $1 FOR NO KEY UPDATE",
            Self::StockLocation(_) => "SELECT FROM commerce.stock_locations WHERE id = $1 FOR NO KEY UPDATE",
            Self::ContactMessage(_) => "SELECT FROM commerce.contact_messages WHERE id = $1 FOR UPDATE",
            Self::Job(_) => "SELECT FROM commerce.jobs WHERE id = $1 FOR UPDATE",
            Self::Catalogue | Self::Inventory | Self::Jobs | Self::PersonalData => {
                "SELECT WHERE $1 IS NOT NULL"
            }
        }
    }

    fn read(self) -> &'static str {
        match self {
            Self::User(_) => {
                "SELECT jsonb_build_object('email', email, 'display_name', display_name, 'phone', phone, 'role', role,
                    'email_verified', email_verified_at IS NOT NULL, 'disabled', disabled_at IS NOT NULL,
                    'second_factor', EXISTS (SELECT FROM commerce.second_factors
                        WHERE user_id = users.id AND confirmed_at IS NOT NULL),
                    'deleted', deleted_at IS NOT NULL, 'version', version) AS fields
                 FROM commerce.users WHERE id = $1"
            }
            Self::Product(_) => {
                "SELECT jsonb_build_object('slug', slug, 'title', title, 'description', description, 'status', status,
                    'vendor', vendor, 'tags', tags, 'attributes', attributes, 'option_names', option_names, 'version', version,
                    'category_ids', coalesce((SELECT jsonb_agg(category_id ORDER BY category_id)
                        FROM commerce.product_categories WHERE product_id = products.id), '[]'),
                    'variants', coalesce((SELECT jsonb_agg(jsonb_build_object('id', id, 'sku', sku, 'options', options,
                            'price_minor', price_minor, 'compare_at_minor', compare_at_minor, 'active', active,
                            'track_inventory', track_inventory, 'continue_selling', continue_selling,
                            'weight_grams', weight_grams, 'requires_shipping', requires_shipping, 'taxable', taxable,
                            'barcode', barcode, 'cost_minor', cost_minor, 'image_id', image_id)
                            ORDER BY position, id)
                        FROM commerce.variants WHERE product_id = products.id), '[]'),
                    'images', coalesce((SELECT jsonb_agg(jsonb_build_object('id', id, 'url', url, 'storage_key', storage_key, 'alt', alt)
                            ORDER BY position, id)
                        FROM commerce.product_images WHERE product_id = products.id), '[]')) AS fields
                 FROM commerce.products WHERE id = $1"
            }
            Self::Category(_) => {
                "SELECT jsonb_build_object('slug', slug, 'title', title, 'description', description,
                    'position', position, 'parent_id', parent_id, 'version', version) AS fields
                 FROM commerce.categories WHERE id = $1"
            }
            Self::CategoryOrder => {
                "SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'parent_id', parent_id, 'position', position)
                    ORDER BY parent_id NULLS FIRST, position, id), '[]') AS fields
                 FROM commerce.categories WHERE $1 IS NULL OR true"
            }
            Self::Stock(_) => {
                "SELECT jsonb_agg(jsonb_build_object('location_id', location_id, 'on_hand', on_hand, 'reserved', reserved)
                    ORDER BY location_id) AS fields
                 FROM commerce.stock_levels WHERE variant_id = $1"
            }
            // The personal data of an order stays in the order.
            Self::Order(_) => {
                "SELECT jsonb_build_object('number', number, 'status', status, 'payment_status', payment_status,
                    'fulfillment_status', fulfillment_status, 'cancel_reason', cancel_reason, 'kept_minor', kept_minor,
                    'version', version) AS fields
                 FROM commerce.orders WHERE id = $1"
            }
            Self::Webhook(_) => {
                "SELECT jsonb_build_object('provider', provider, 'event_id', event_id, 'status', status) AS fields
                 FROM commerce.inbound_webhooks WHERE id = $1"
            }
            Self::StockLocation(_) => {
                "SELECT jsonb_build_object('code', code, 'name', name, 'priority', priority, 'active', active,
                    'version', version) AS fields
                 FROM commerce.stock_locations WHERE id = $1 AND deleted_at IS NULL"
            }
            // What the visitor and staff wrote stays in the message.
            Self::ContactMessage(_) => {
                "SELECT jsonb_build_object('handled', handled_at IS NOT NULL, 'has_note', note IS NOT NULL,
                    'version', version) AS fields
                 FROM commerce.contact_messages WHERE id = $1"
            }
            // An error may name an address.
            Self::Job(_) => {
                "SELECT jsonb_build_object('kind', kind, 'payload', payload, 'state', state, 'attempt', attempt,
                    'attempts_max', attempts_max, 'run_at', run_at) AS fields
                 FROM commerce.jobs WHERE id = $1"
            }
            Self::Catalogue | Self::Inventory | Self::Jobs | Self::PersonalData => {
                "SELECT NULL::jsonb AS fields WHERE $1 IS NOT NULL"
            }
        }
    }
}

#[derive(QueryableByName)]
struct Snapshot {
    #[diesel(sql_type = Nullable<Jsonb>)]
    fields: Option<Value>,
}

/// The present state of the subject, locked until the transaction ends. `None` if it does not exist.
pub async fn snapshot(conn: &mut AsyncPgConnection, subject: Subject) -> QueryResult<Option<Value>> {
    if matches!(subject, Subject::Category(_) | Subject::CategoryOrder) {
        // The tree comes before its categories in the lock order, and the change may need it.
        advisory_lock(conn, AdvisoryLock::CategoryTree).await?;
    }
    let id = subject.uuid();
    diesel::sql_query(subject.lock()).bind::<Nullable<SqlUuid>, _>(id).execute(conn).await?;
    let read = diesel::sql_query(subject.read()).bind::<Nullable<SqlUuid>, _>(id);
    let found: Option<Snapshot> = read.get_result(conn).await.optional()?;
    Ok(found.and_then(|snapshot| snapshot.fields))
}
