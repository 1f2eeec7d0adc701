//! Every kind of job there is, each from its own file. Their names are stored: they are never renamed in place.

use crate::queue::Job as _;

pub use crate::catalog::image::{DeleteFiles, ResizeImage};
pub use crate::flows::RefundPayment;
pub use crate::notifications::SendEmail;
pub use crate::search::IndexProducts;

/// The enum, its names and the list of them are one list, so that none is without a handler: [`crate::jobs::run`] matches them all.
macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        /// A kind of job of this version.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Kind {
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] $kind),+
        }

        /// The names of all kinds, as the table has them.
        pub const ALL: &[&str] = &[$($kind::KIND),+];

        impl Kind {
            /// The kind of this name; none if this version does not know it.
            pub fn of(name: &str) -> Option<Self> {
                match name {
                    $($kind::KIND => Some(Self::$kind),)+
                    _ => None,
                }
            }
        }
    };
}

kinds! { SendEmail, RefundPayment, ResizeImage, DeleteFiles, IndexProducts }
