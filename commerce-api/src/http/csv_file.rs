//! Answers that are a CSV file, of any length.

use std::io;

use commerce_core::spreadsheet::guarded;
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{
    MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use tokio::sync::mpsc;

/// A file that is sent while it is written.
pub struct CsvFile {
    name: &'static str,
    body: Body,
}

/// Takes the parts of a file.
pub struct Chunks(mpsc::Sender<io::Result<String>>);

/// The client no longer wants the rest of the file.
#[derive(Debug, thiserror::Error)]
#[error("the client has hung up")]
pub struct HungUp;

impl Chunks {
    /// Waits while the client is slow.
    pub async fn send(&self, chunk: String) -> Result<(), HungUp> {
        self.0.send(Ok(chunk)).await.map_err(|_| HungUp)
    }
}

impl CsvFile {
    /// Runs `write` in a task of its own. The task ends with the file, with the first error, or when the
    /// client hangs up. After an error the connection is cut, so that the client does not take a part for the
    /// whole.
    pub fn written_by<W, F>(name: &'static str, write: W) -> Self
    where
        W: FnOnce(Chunks) -> F,
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(2);
        let broken = sender.clone();
        let writing = write(Chunks(sender));
        tokio::spawn(async move {
            if let Err(error) = writing.await
                && !error.is::<HungUp>()
            {
                tracing::error!(%error, "an export was aborted");
                let _ = broken.send(Err(io::Error::other("the export was aborted"))).await;
            }
        });
        let chunks = futures_util::stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        });
        Self { name, body: Body::from_bytes_stream(chunks) }
    }
}

/// A text as a quoted cell (RFC 4180), which no spreadsheet reads as a formula.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", guarded(text).replace('"', "\"\""))
}

impl Payload for CsvFile {
    const CONTENT_TYPE: &'static str = "text/csv";

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")))
    }
}

impl IntoResponse for CsvFile {
    fn into_response(self) -> Response {
        Response::builder()
            .content_type("text/csv; charset=utf-8")
            .header("Content-Disposition", format!("attachment; filename=\"{}\"", self.name))
            .body(self.body)
    }
}

impl ApiResponse for CsvFile {
    fn meta() -> MetaResponses {
        let csv = MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() };
        let response = MetaResponse {
            description: "The file.",
            status: Some(200),
            status_range: None,
            content: vec![csv],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_registry: &mut Registry) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_typed_stays_one_field_and_no_formula() {
        assert_eq!(quoted("a\"b@example.com"), "\"a\"\"b@example.com\"");
        assert_eq!(quoted("=cmd|x@example.com"), "\"'=cmd|x@example.com\"");
    }
}
