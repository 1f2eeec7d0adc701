//! The SQLSTATE of an error: what went wrong, in whatever language the server speaks.
//!
//! Diesel passes on the server's message and not its SQLSTATE. So `Marker` reads what the server sends, and
//! adds the SQLSTATE to the message of each error.
//!
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html> lists the codes, and
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html> describes the messages.

use diesel::result::{DatabaseErrorKind, Error as QueryError};

/// Deadlock detected.
pub const DEADLOCK_DETECTED: &str = "40P01";
/// A statement did not get a lock in time.
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// A statement took too long, or somebody cancelled it.
pub const QUERY_CANCELED: &str = "57014";
/// Serialization failure.
pub const SERIALIZATION_FAILURE: &str = "40001";
/// The server shuts down, has crashed, or is not ready yet. The connection was idle for too long in a
/// transaction. There are too many connections.
pub const UNAVAILABLE: [&str; 5] = ["57P01", "57P02", "57P03", "25P03", "53300"];

const BEFORE: &str = " (SQLSTATE ";

/// The SQLSTATE of a server's error. `None` for any other error.
///
/// On a connection that was not made by this module it is known only for some errors, and only if the server
/// speaks English (`lc_messages`).
pub fn sqlstate(error: &QueryError) -> Option<&str> {
    let QueryError::DatabaseError(kind, info) = error else { return None };
    let message = info.message();
    if let Some((_, code)) = message.strip_suffix(')').and_then(|rest| rest.rsplit_once(BEFORE))
        && code.len() == 5
    {
        return Some(code);
    }
    match message {
        _ if matches!(kind, DatabaseErrorKind::SerializationFailure) => Some(SERIALIZATION_FAILURE),
        "deadlock detected" => Some(DEADLOCK_DETECTED),
        "canceling statement due to lock timeout" => Some(LOCK_NOT_AVAILABLE),
        _ if message.starts_with("canceling statement due to") => Some(QUERY_CANCELED),
        _ => None,
    }
}

/// Adds the SQLSTATE to the message of every error that a server sends.
#[derive(Debug, Default)]
pub(super) struct Marker {
    /// The type and the length of the next message, as far as they were read.
    header: Vec<u8>,
    /// What is left of the present message.
    left: usize,
    /// The fields of an error, as far as they were read. `None` in a message of another type.
    error: Option<Vec<u8>>,
}

const HEADER_BYTES: usize = 5;
const ERROR_RESPONSE: u8 = b'E';

impl Marker {
    /// Appends to `out` what `bytes` become. Bytes of a header or of an error are kept until it is whole.
    pub(super) fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(HEADER_BYTES - self.header.len()));
                self.header.extend_from_slice(head);
                bytes = rest;
                if let [kind, a, b, c, d] = *self.header {
                    // The length counts itself.
                    let length = u32::from_be_bytes([a, b, c, d]).saturating_sub(4);
                    self.left = usize::try_from(length).unwrap_or(usize::MAX);
                    if kind == ERROR_RESPONSE {
                        self.error = Some(Vec::new());
                    } else {
                        out.extend_from_slice(&self.header);
                    }
                    self.header.clear();
                }
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(self.left));
            self.left -= part.len();
            bytes = rest;
            match &mut self.error {
                Some(fields) => fields.extend_from_slice(part),
                None => out.extend_from_slice(part),
            }
            if self.left == 0
                && let Some(fields) = self.error.take()
            {
                write_error(&fields, out);
            }
        }
    }
}

/// Writes an error whose message ends with the SQLSTATE. Each field is a letter and a text that ends with a
/// NUL, and a NUL ends the list.
fn write_error(fields: &[u8], out: &mut Vec<u8>) {
    let texts = || fields.split(|byte| *byte == 0).filter(|field| !field.is_empty());
    let code = texts().find_map(|field| field.strip_prefix(b"C")).unwrap_or_default();
    let mut body = Vec::with_capacity(fields.len() + BEFORE.len() + code.len() + 1);
    for field in texts() {
        body.extend_from_slice(field);
        if field.starts_with(b"M") && !code.is_empty() {
            body.extend_from_slice(BEFORE.as_bytes());
            body.extend_from_slice(code);
            body.push(b')');
        }
        body.push(0);
    }
    body.push(0);
    out.push(ERROR_RESPONSE);
    out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&body);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], length.as_slice(), body].concat()
    }

    #[test]
    fn errors_get_their_code_wherever_the_bytes_are_cut() {
        let sent = [
            message(b'Z', b"I"),
            message(b'n', b""),
            message(b'E', b"SFEHLER\0VERROR\0C40P01\0MVerklemmung entdeckt\0Dzwei\0\0"),
            message(b'D', &[b'E'; 300]),
        ]
        .concat();
        let wanted = [
            message(b'Z', b"I"),
            message(b'n', b""),
            message(b'E', b"SFEHLER\0VERROR\0C40P01\0MVerklemmung entdeckt (SQLSTATE 40P01)\0Dzwei\0\0"),
            message(b'D', &[b'E'; 300]),
        ]
        .concat();
        for size in 1..sent.len() {
            let (mut marker, mut out) = (Marker::default(), Vec::new());
            sent.chunks(size).for_each(|part| marker.pass(part, &mut out));
            assert_eq!(out, wanted, "{size}");
        }
    }

    #[test]
    fn the_code_is_read_from_the_message() {
        let error = |message: &str| {
            QueryError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned()))
        };
        assert_eq!(sqlstate(&error("Verklemmung entdeckt (SQLSTATE 40P01)")), Some(DEADLOCK_DETECTED));
        assert_eq!(sqlstate(&error("deadlock detected")), Some(DEADLOCK_DETECTED));
        assert_eq!(sqlstate(&error("canceling statement due to lock timeout")), Some(LOCK_NOT_AVAILABLE));
        assert_eq!(sqlstate(&error("Verklemmung entdeckt")), None);
        assert_eq!(sqlstate(&QueryError::NotFound), None);
    }
}
