//! `/admin/audit-log`: which member of staff changed what.

use chrono::{DateTime, SecondsFormat, Utc};
use commerce_core::audit_log::{self, AuditFilter, ListAuditError, SubjectKind as Kind};
use commerce_core::ids::UserId;
use commerce_core::page::Limit;
use commerce_core::spreadsheet::BYTE_ORDER_MARK;
use poem_openapi::param::Query;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{List, Okay, twenty};
use crate::http::auth::{Can, OperationsRead};
use crate::http::csv_file::{Chunks, CsvFile, quoted};
use crate::http::problem::{Code, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct AuditLog(pub State);

#[OpenApi(tag = "Tag::Operations")]
impl AuditLog {
    /// List audit log entries
    ///
    /// Lists every change that staff made, newest first. Entries about deleted accounts hold no personal
    /// data.
    #[oai(path = "/admin/audit-log", method = "get", operation_id = "list_audit_log")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        _staff: Can<OperationsRead>,
        /// Id of the user who made the change
        actor: Query<Option<Uuid>>,
        /// The operationId of the change
        #[oai(validator(max_length = 100))]
        action: Query<Option<String>>,
        subject_kind: Query<Option<SubjectKind>>,
        /// Id of the thing that was changed
        #[oai(validator(max_length = 100))]
        subject_id: Query<Option<String>>,
        /// Only entries at this time or later
        from: Query<Option<DateTime<Utc>>>,
        /// Only entries before this time
        before: Query<Option<DateTime<Utc>>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<AuditEntry>>, Refused<ListAuditError>> {
        let filter = AuditFilter {
            actor: actor.0.map(UserId),
            action: action.0,
            subject_kind: subject_kind.0.map(Into::into),
            subject_id: subject_id.0,
            from: from.0,
            before: before.0,
        };
        let limit = Limit::new(limit.0).unwrap_or_default();
        let mut conn = self.0.conn().await?;
        let page = audit_log::list(&mut conn, &filter, limit, cursor.0.as_deref()).await?;
        Ok(Okay::page(page.map(AuditEntry::from)))
    }
}

pub struct AuditLogFile(pub State);

#[OpenApi(tag = "Tag::Operations")]
impl AuditLogFile {
    /// Export the audit log to CSV
    ///
    /// The file has one row for each entry, newest first. `before` and `after` are JSON. A cell that a spreadsheet would
    /// read as a formula begins with an apostrophe.
    #[oai(path = "/admin/audit-log/export", method = "get", operation_id = "export_audit_log")]
    #[allow(clippy::too_many_arguments)]
    async fn export(
        &self,
        staff: Can<OperationsRead>,
        /// Id of the user who made the change
        actor: Query<Option<Uuid>>,
        /// The operationId of the change
        #[oai(validator(max_length = 100))]
        action: Query<Option<String>>,
        subject_kind: Query<Option<SubjectKind>>,
        /// Id of the thing that was changed
        #[oai(validator(max_length = 100))]
        subject_id: Query<Option<String>>,
        /// Only entries at this time or later
        from: Query<Option<DateTime<Utc>>>,
        /// Only entries before this time
        before: Query<Option<DateTime<Utc>>>,
        /// Begin the file with a byte order mark, so that Excel reads it as UTF-8
        bom: Query<Option<bool>>,
    ) -> Result<CsvFile, Problem> {
        let filter = AuditFilter {
            actor: actor.0.map(UserId),
            action: action.0,
            subject_kind: subject_kind.0.map(Into::into),
            subject_id: subject_id.0,
            from: from.0,
            before: before.0,
        };
        // If the database cannot be reached, the answer is an error status, not a file that breaks off. The entries
        // about accounts have names and addresses.
        staff.note_read(&mut *self.0.conn().await?).await?;
        let state = self.0.clone();
        let bom = bom.0 == Some(true);
        Ok(CsvFile::written_by("audit-log.csv", move |chunks| async move {
            if bom {
                chunks.send(BYTE_ORDER_MARK.to_owned()).await?;
            }
            write_pages(&state, &filter, &chunks).await
        }))
    }
}

const HEADINGS: &str = "at,id,actor,actor_role,request_id,action,subject_kind,subject_id,before,after\r\n";

/// Holds no connection while the client is slow.
async fn write_pages(state: &State, filter: &AuditFilter, chunks: &Chunks) -> anyhow::Result<()> {
    chunks.send(HEADINGS.to_owned()).await?;
    let limit = Limit::new(Limit::MAX).unwrap_or_default();
    let mut cursor = None;
    loop {
        let page = {
            let mut conn = state.pool.get().await?;
            audit_log::list(&mut conn, filter, limit, cursor.as_deref()).await?
        };
        chunks.send(page.data.iter().map(row).collect()).await?;
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

fn row(entry: &audit_log::AuditEntry) -> String {
    let json = |value: &Option<serde_json::Value>| {
        value.as_ref().map(|value| quoted(&value.to_string())).unwrap_or_default()
    };
    let text = |text: &Option<String>| text.as_deref().map(quoted).unwrap_or_default();
    let fields = [
        entry.at.to_rfc3339_opts(SecondsFormat::Micros, true),
        entry.id.to_string(),
        entry.actor.clone(),
        text(&entry.actor_role),
        text(&entry.request_id),
        quoted(&entry.action),
        entry.subject_kind.to_string(),
        text(&entry.subject_id),
        json(&entry.before),
        json(&entry.after),
    ];
    fields.join(",") + "\r\n"
}

/// What kind of thing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "AuditSubjectKind", rename_all = "snake_case", remote = "Kind")]
pub enum SubjectKind {
    User,
    /// A product, with its variants and images.
    Product,
    Category,
    /// The stock levels of a variant.
    Stock,
    /// Many stock levels at once, by a file or a transfer.
    Inventory,
    StockLocation,
    Order,
    /// Many products at once, by an import.
    Catalogue,
    /// The order of the categories.
    CategoryOrder,
    /// An event that a payment provider has reported.
    Webhook,
    /// A message that a visitor wrote to the shop.
    ContactMessage,
    Job,
    /// Many jobs at once, or all of a kind.
    Jobs,
    /// Data of customers, which was read and not changed. `after` says where.
    PersonalData,
}

/// One change that a member of staff made.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct AuditEntry {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    /// Who made the change: `user:<id>` or `system`.
    pub actor: String,
    /// The actor's role at that time.
    pub actor_role: Option<String>,
    pub request_id: Option<String>,
    /// The operationId of the change.
    pub action: String,
    pub subject_kind: SubjectKind,
    /// Absent if the change is about many things.
    pub subject_id: Option<String>,
    /// The state before the change. Absent if the change created the thing.
    pub before: Option<serde_json::Value>,
    /// The state after the change. Absent if the change deleted the thing.
    pub after: Option<serde_json::Value>,
}

impl From<audit_log::AuditEntry> for AuditEntry {
    fn from(entry: audit_log::AuditEntry) -> Self {
        Self {
            id: entry.id.0,
            at: entry.at,
            actor: entry.actor,
            actor_role: entry.actor_role,
            request_id: entry.request_id,
            action: entry.action,
            subject_kind: entry.subject_kind.into(),
            subject_id: entry.subject_id,
            before: entry.before,
            after: entry.after,
        }
    }
}

impl Example for AuditEntry {
    fn example() -> Self {
        let id = Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b1e);
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b52),
            at: DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default(),
            actor: format!("user:{id}"),
            actor_role: Some("fulfilment".to_owned()),
            request_id: Some("01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b1e".to_owned()),
            action: "adjust_stock".to_owned(),
            subject_kind: SubjectKind::Stock,
            subject_id: Some("01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b20".to_owned()),
            before: Some(serde_json::json!([{ "location_id": id, "on_hand": 5, "reserved": 1 }])),
            after: Some(serde_json::json!([{ "location_id": id, "on_hand": 15, "reserved": 1 }])),
        }
    }
}

impl Refusal for ListAuditError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}
