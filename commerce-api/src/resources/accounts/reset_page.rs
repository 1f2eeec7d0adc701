//! The page for setting a new password, for shops whose storefront has none. The mailed link leads to it. The
//! token stands behind the `#` of the link, because browsers do not send that part to any server.

use std::sync::LazyLock;

use poem::{Response, handler};

use crate::http::scripted_page::ScriptedPage;

static PAGE: LazyLock<ScriptedPage> = LazyLock::new(|| {
    ScriptedPage::new(include_str!("reset_page/page.html"), include_str!("reset_page/script.js"))
});

#[handler]
pub fn show() -> Response {
    PAGE.answer()
}
