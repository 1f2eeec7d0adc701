//! Descriptions are HTML that browsers of shoppers will show. Scripts, styles and event handlers are removed
//! when a description is written, so that readers need not do it.

use crate::error::FieldErrors;
use crate::text::free_text;

/// The HTML to store: only harmless elements and attributes of ammonia's allow-list.
pub(super) fn sanitise(html: &str) -> String {
    ammonia::clean(&free_text(html)).trim().to_owned()
}

pub(super) fn check(errors: &mut FieldErrors, pointer: &str, html: &str, bytes_max: usize) {
    if html.len() > bytes_max {
        errors.push(pointer, format!("has {} bytes; at most {bytes_max} are allowed", html.len()));
    } else if html.contains('\0') {
        errors.push(pointer, "must not contain the character NUL");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_run_is_taken_out_and_the_rest_stays() {
        let html = r#" <p onclick="x()">Soft <b>wool</b><script>alert(1)</script> <a href="javascript:x">here</a></p>"#;
        assert_eq!(sanitise(html), r#"<p>Soft <b>wool</b> <a rel="noopener noreferrer">here</a></p>"#);
        assert_eq!(sanitise("<img src=x onerror=alert(1)>"), r#"<img src="x">"#);
    }

    #[test]
    fn what_is_clean_stays_as_it_is() {
        for html in ["Plain words.", "<ul><li>One</li></ul>", "A &lt; B &amp; C", "日本語 🧦"] {
            assert_eq!(sanitise(html), html);
            assert_eq!(sanitise(&sanitise(html)), sanitise(html));
        }
    }
}
