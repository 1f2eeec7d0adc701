//! Messages that visitors write to the shop, and what staff do about them.

mod limits;
mod list;
mod message;

pub use limits::{MESSAGE_CHARS_MAX, NAME_CHARS_MAX, NOTE_CHARS_MAX};
#[cfg(feature = "testing")]
pub use list::explain_messages;
pub use list::{ContactFilter, ContactSort, ListContactError, list_messages};
pub use message::{
    ContactError, ContactMessage, ContactPatch, NewContactMessage, delete_message, find_message,
    forget_sender, insert_message, update_message,
};
