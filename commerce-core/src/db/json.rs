//! JSON columns, read directly as Rust types.

use diesel::deserialize::{self, FromSql, Queryable};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::Jsonb;
use serde::de::DeserializeOwned;

/// The value of a `jsonb` column, parsed from its text without a [`serde_json::Value`] in between.
#[derive(Debug, Clone)]
pub(crate) struct Json<T>(pub T);

impl<T: DeserializeOwned> FromSql<Jsonb, Pg> for Json<T> {
    /// Postgres sends a version, which is 1, and then the text (`jsonb_send` in
    /// <https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/jsonb.c>).
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes() {
            [1, text @ ..] => Ok(Self(serde_json::from_slice(text)?)),
            _ => Err("this version of jsonb is unknown".into()),
        }
    }
}

impl<T: DeserializeOwned> Queryable<Jsonb, Pg> for Json<T> {
    type Row = Self;

    fn build(row: Self) -> deserialize::Result<Self> {
        Ok(row)
    }
}
