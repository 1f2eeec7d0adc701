//! `/media/{name}`: the files of uploaded images, from a folder or a bucket. The file behind a name never
//! changes, so clients and CDNs may cache it for ever.

use std::ops::Range;

use commerce_core::catalog::image::{FileKey, Media, MediaError};
use futures_util::TryStreamExt as _;
use poem::http::{StatusCode, header};
use poem::web::{Data, Path};
use poem::{Body, IntoResponse, Request, Response, handler};

use crate::http::problem::{Code, Problem};
use crate::http::state::State;

/// Sends one file, or the requested range of it.
#[handler]
pub async fn serve(request: &Request, Path(name): Path<String>, Data(state): Data<&State>) -> Response {
    let Some(key) = FileKey::parse(&name) else { return Problem::not_found("picture").into_response() };
    match send(request, &state.media, &key).await {
        Ok(response) => response,
        Err(MediaError::Missing(_)) => Problem::not_found("picture").into_response(),
        Err(error) => Problem::unavailable(error).into_response(),
    }
}

async fn send(request: &Request, media: &Media, key: &FileKey) -> Result<Response, MediaError> {
    let tag = format!("\"{}\"", key.id());
    let wanted = match request.header(header::RANGE).filter(|_| may_be_part(request, &tag)).map(Wanted::parse)
    {
        None | Some(None) => None,
        Some(Some(wanted)) => {
            let size = media.size(key).await?;
            match wanted.within(size) {
                Some(range) => Some(range),
                None => return Ok(no_such_part(size)),
            }
        }
    };
    let is_part = wanted.is_some();
    let file = media.get(key, wanted).await?;
    let mut response = Response::builder()
        .content_type(key.format().content_type())
        .header(header::CACHE_CONTROL, "public, max-age=31536000, immutable")
        .header(header::ETAG, tag)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_LENGTH, file.range.end.saturating_sub(file.range.start));
    if is_part {
        let last = file.range.end.saturating_sub(1);
        let range = format!("bytes {}-{last}/{}", file.range.start, file.size);
        response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
    }
    Ok(response.body(Body::from_bytes_stream(file.bytes.map_err(std::io::Error::other))))
}

/// Whether the client has other parts of this version of the file (RFC 9110, 13.1.5).
fn may_be_part(request: &Request, tag: &str) -> bool {
    request.header(header::IF_RANGE).is_none_or(|known| known == tag)
}

fn no_such_part(size: u64) -> Response {
    let detail = format!("The file has {size} bytes.");
    let range = format!("bytes */{size}");
    Problem::new(Code::RangeNotSatisfiable, detail)
        .with("size", size)
        .header(header::CONTENT_RANGE, range)
        .into_response()
}

/// A requested range (RFC 9110, 14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

impl Wanted {
    /// Reads one range of bytes. A header with several ranges, another unit or a syntax error is ignored.
    fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.strip_prefix("bytes=")?.trim().split_once('-')?;
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        match (first, last) {
            ("", last) => number(last).map(Self::Last),
            (first, "") => number(first).map(Self::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The bytes of the range in a file of this size.
    fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first) => first..size,
            Self::Between(first, last) => first..last.saturating_add(1).min(size),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let within = |header: &str| Wanted::parse(header).map(|wanted| wanted.within(10));
        for (header, expected) in [
            ("bytes=0-0", Some(Some(0..1))),
            ("bytes=2-4", Some(Some(2..5))),
            ("bytes=2-99", Some(Some(2..10))),
            ("bytes=9-", Some(Some(9..10))),
            ("bytes=-3", Some(Some(7..10))),
            ("bytes=-99", Some(Some(0..10))),
            ("bytes=10-", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=4-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("lines=0-1", None),
        ] {
            assert_eq!(within(header), expected, "{header}");
        }
    }
}
