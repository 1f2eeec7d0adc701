//! Every kind of job, each defined in its own file. The names are stored, so they never change.

use crate::queue::Job as _;

pub use crate::catalog::image::{DeleteFiles, ResizeImage};
pub use crate::flows::{
    CheckPayment, EndPayment, LookUpOrder, ProcessWebhook, ProcessWithdrawal, RefundPayment,
};
pub use crate::notifications::SendEmail;
pub use crate::search::IndexProducts;

/// The enum, the names and the list come from this one list, so that no kind is without a handler:
/// [`crate::jobs::run`] matches all of them.
macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        /// A kind of job of this version.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Kind {
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] $kind),+
        }

        /// The names of all kinds, as stored in the table.
        pub const ALL: &[&str] = &[$($kind::KIND),+];

        impl Kind {
            /// The kind with this name. `None` if this version does not know it.
            pub fn of(name: &str) -> Option<Self> {
                match name {
                    $($kind::KIND => Some(Self::$kind),)+
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    SendEmail, RefundPayment, CheckPayment, EndPayment, ProcessWebhook, LookUpOrder, ProcessWithdrawal, ResizeImage,
    DeleteFiles, IndexProducts,
}
