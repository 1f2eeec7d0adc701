//! The images of the demo catalogue. They are drawn here, so that a new shop has images without access to the
//! network. For example, `/demo-images/mug-b5654a.svg` is a mug in that colour.

use poem::http::header;
use poem::web::Path;
use poem::{IntoResponse, Response, handler};

use crate::http::problem::Problem;

/// Draws one picture.
#[handler]
pub fn draw(Path(name): Path<String>) -> Response {
    match svg(&name) {
        Some(svg) => Response::builder()
            .content_type("image/svg+xml")
            .header(header::CACHE_CONTROL, "public, max-age=86400")
            .body(svg),
        None => Problem::not_found("picture").into_response(),
    }
}

/// The image for a name such as `mug-b5654a.svg`.
pub fn svg(name: &str) -> Option<String> {
    let (shape, color) = name.strip_suffix(".svg")?.rsplit_once('-')?;
    let is_color = color.len() == 6 && color.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (_, drawing) = SHAPES.iter().find(|(known, _)| *known == shape && is_color)?;
    let drawing = drawing
        .replace("{shade}", r##"fill="#000" fill-opacity=".18""##)
        .replace("{light}", r##"fill="#fff" fill-opacity=".35""##)
        .replace("{line}", r#"fill="none" stroke="currentColor" stroke-width="14" stroke-linecap="round""#);
    Some(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" color="#{color}" fill="currentColor"><path fill="#f4f1ec" d="M0 0h400v400H0z"/><ellipse cx="200" cy="314" rx="130" ry="14" fill="#000" fill-opacity=".08"/>{drawing}</svg>"##
    ))
}

/// Shapes on a canvas of 400 by 400 with the ground at 310. `{shade}`, `{light}` and `{line}` are paint
/// styles.
const SHAPES: [(&str, &str); 38] = [
    (
        "backpack",
        r#"<rect x="125" y="120" width="150" height="190" rx="40"/><rect {shade} x="150" y="215" width="100" height="70" rx="12"/><path {line} d="M175 125v-15a25 25 0 0 1 50 0v15"/>"#,
    ),
    (
        "bag",
        r#"<rect x="105" y="160" width="190" height="150" rx="14"/><path {line} d="M150 165v-20a50 50 0 0 1 100 0v20"/><rect {shade} x="105" y="200" width="190" height="10"/>"#,
    ),
    (
        "blanket",
        r#"<rect x="100" y="150" width="200" height="50" rx="22"/><rect x="100" y="205" width="200" height="50" rx="22"/><rect x="100" y="260" width="200" height="50" rx="22"/><path {shade} d="M100 198h200v9H100zM100 253h200v9H100z"/>"#,
    ),
    (
        "board",
        r#"<rect x="130" y="90" width="140" height="220" rx="24"/><circle {light} cx="200" cy="120" r="12"/><path {shade} d="M150 160h6v130h-6zM244 160h6v130h-6z"/>"#,
    ),
    (
        "book",
        r#"<rect x="130" y="100" width="140" height="210" rx="10"/><rect {shade} x="130" y="100" width="22" height="210"/><rect {light} x="172" y="140" width="78" height="30"/>"#,
    ),
    (
        "bottle",
        r#"<path d="M180 80h40v50q30 20 30 60v120h-100V190q0-40 30-60z"/><rect {light} x="150" y="220" width="100" height="50"/><rect {shade} x="176" y="80" width="48" height="20"/>"#,
    ),
    (
        "bowl",
        r#"<path d="M90 190h220a110 120 0 0 1-80 120h-60a110 120 0 0 1-80-120z"/><ellipse {shade} cx="200" cy="190" rx="110" ry="16"/>"#,
    ),
    (
        "brush",
        r#"<rect x="60" y="190" width="190" height="26" rx="13"/><rect x="235" y="172" width="110" height="46" rx="22"/><path {shade} d="M250 218h82v36h-82z"/>"#,
    ),
    (
        "can",
        r#"<rect x="150" y="180" width="120" height="130" rx="14"/><path d="M152 225l-84-76 11-12 80 52z"/><path {line} d="M268 200a45 45 0 0 1 0 84"/><rect {shade} x="150" y="180" width="120" height="14" rx="7"/>"#,
    ),
    (
        "candle",
        r##"<rect x="160" y="170" width="80" height="140" rx="10"/><path fill="#e0b84c" d="M200 105q24 32 0 54q-24-22 0-54z"/><path fill="#444" d="M198 155h4v18h-4z"/><ellipse {shade} cx="200" cy="176" rx="38" ry="7"/>"##,
    ),
    (
        "card",
        r#"<rect x="105" y="140" width="190" height="150" rx="6"/><path {shade} d="M200 258q-44-44 0-84q44 40 0 84z"/><path {light} d="M198 190h4v80h-4z"/>"#,
    ),
    (
        "clock",
        r##"<circle cx="200" cy="200" r="108"/><circle cx="200" cy="200" r="94" fill="#fff"/><path fill="#333" d="M196 130h8v68l44 26-4 7-48-29z"/>"##,
    ),
    (
        "cushion",
        r#"<path d="M105 120q95 20 190 0q-20 95 0 190q-95-20-190 0q20-95 0-190z"/><circle {shade} cx="200" cy="215" r="9"/>"#,
    ),
    (
        "frame",
        r#"<path fill-rule="evenodd" d="M105 80h190v230H105zM127 102v186h146V102z"/><path {shade} d="M127 288l52-74 36 42 24-24 34 56z"/>"#,
    ),
    (
        "hat",
        r#"<path d="M110 245a90 115 0 0 1 180 0z"/><circle cx="200" cy="126" r="20"/><rect x="100" y="238" width="200" height="50" rx="16"/><rect {shade} x="100" y="238" width="200" height="50" rx="16"/>"#,
    ),
    (
        "jacket",
        r#"<path d="M150 95l-72 50 4 130h42v-60 95h152v-95 60h42l4-130-72-50q-20 24-50 24t-50-24z"/><path {light} d="M197 120h6v190h-6z"/><path {shade} d="M140 235h44v44h-44zM216 235h44v44h-44z"/>"#,
    ),
    (
        "jar",
        r##"<rect x="138" y="140" width="124" height="170" rx="22"/><rect x="150" y="106" width="100" height="36" rx="8" fill="#8b6f4e"/><rect {light} x="156" y="190" width="88" height="66" rx="6"/>"##,
    ),
    (
        "knife",
        r##"<path fill="#aab2b8" d="M55 212q70-54 195-50v50z"/><rect x="248" y="162" width="100" height="42" rx="15"/><circle {light} cx="275" cy="183" r="5"/><circle {light} cx="320" cy="183" r="5"/>"##,
    ),
    (
        "lamp",
        r##"<path d="M150 105h100l42 95H108z"/><path fill="#6b5b45" d="M193 200h14v92h-14z"/><rect fill="#6b5b45" x="148" y="290" width="104" height="20" rx="10"/><path {light} d="M170 105h20l-10 95h-30z"/>"##,
    ),
    (
        "lantern",
        r##"<ellipse cx="200" cy="205" rx="100" ry="92"/><path {shade} d="M107 172h186v4H107zM100 203h200v4H100zM107 234h186v4H107z"/><path fill="#6b5b45" d="M198 40h4v74h-4zM170 111h60v10h-60zM170 289h60v10h-60z"/>"##,
    ),
    (
        "mug",
        r#"<rect x="115" y="145" width="140" height="165" rx="18"/><path d="M255 180h22a42 42 0 0 1 0 84h-22v-22h20a20 20 0 0 0 0-40h-20z"/><rect {shade} x="115" y="145" width="140" height="18" rx="9"/>"#,
    ),
    (
        "pan",
        r#"<path d="M80 215h190v45a50 50 0 0 1-50 50h-90a50 50 0 0 1-50-50z"/><rect x="268" y="220" width="95" height="22" rx="11"/><rect {shade} x="80" y="215" width="190" height="14"/>"#,
    ),
    (
        "pen",
        r#"<path d="M108 304l12-42L262 120l30 30L150 292z"/><path {shade} d="M262 120l30 30 18-18-30-30zM108 304l12-42 30 30z"/>"#,
    ),
    (
        "plant",
        r##"<path d="M200 245q-82-30-92-130q82 24 92 130zM200 245q82-30 92-130q-82 24-92 130zM200 240q-34-66 0-148q34 82 0 148z"/><path fill="#b5654a" d="M148 236h104l-15 74h-74z"/><path {shade} d="M148 236h104l-3 16h-98z"/>"##,
    ),
    (
        "pot",
        r#"<path d="M125 155h150v36h-12l-20 119h-86l-20-119h-12z"/><rect {shade} x="125" y="155" width="150" height="36"/>"#,
    ),
    (
        "press",
        r##"<path fill="#c9d3d6" d="M130 130h130v180H130z"/><path fill="#5b3a29" d="M136 200h118v104H136z"/><rect x="124" y="116" width="142" height="20" rx="6"/><path d="M190 70h10v50h-10z"/><circle cx="195" cy="66" r="14"/><path d="M124 130h10v180h-10zM256 130h10v180h-10zM124 296h142v14H124z"/><path {line} d="M266 170h30v90h-30"/>"##,
    ),
    (
        "scarf",
        r#"<path d="M140 95q60 46 120 0l14 42-36 30v143h-56V178l-50-38z"/><path {shade} d="M182 270h56v8h-56zM182 286h56v8h-56z"/>"#,
    ),
    (
        "secateurs",
        r##"<path fill="#8d979d" d="M196 190q-40-50-14-110q34 40 34 96zM204 190q34-40 22-96q14 34-4 104z"/><path d="M188 190l24 4q-6 70-52 118l-18-12q40-46 46-110zM212 186l-22 10q20 62 46 116l20-8q-30-54-44-118z"/><circle fill="#555" cx="201" cy="192" r="11"/>"##,
    ),
    (
        "shirt",
        r#"<path d="M150 95l-76 50 26 58 28-15v122h144V188l28 15 26-58-76-50q-20 26-50 26t-50-26z"/><path {shade} d="M150 95q20 26 50 26t50-26l8 6q-22 34-58 34t-58-34z"/>"#,
    ),
    (
        "soap",
        r#"<rect x="108" y="195" width="184" height="110" rx="38"/><rect {light} x="158" y="228" width="84" height="42" rx="8"/>"#,
    ),
    (
        "socks",
        r#"<path d="M140 90h64v125l64 50a31 31 0 0 1-36 50l-84-50q-8-8-8-24z"/><path {shade} d="M140 90h64v24h-64z"/><path {light} d="M236 300l24-34 14 20-20 26z"/>"#,
    ),
    (
        "sweater",
        r#"<path d="M150 95l-66 46-14 150h40l14-90v109h152V201l14 90h40l-14-150-66-46q-20 24-50 24t-50-24z"/><path {shade} d="M124 290h152v20H124z"/><path {light} d="M150 200h100v8H150zM150 220h100v8H150z"/>"#,
    ),
    (
        "tin",
        r#"<rect x="132" y="130" width="136" height="180" rx="12"/><rect {shade} x="132" y="130" width="136" height="28" rx="12"/><rect {light} x="150" y="190" width="100" height="74" rx="6"/>"#,
    ),
    (
        "towel",
        r#"<rect x="115" y="115" width="170" height="195" rx="10"/><path {light} d="M115 160h170v12H115zM115 184h170v6H115z"/><path {shade} d="M115 235h170v5H115z"/>"#,
    ),
    (
        "trowel",
        r##"<path fill="#9aa3a8" d="M166 180h68v56q0 46-34 74q-34-28-34-74z"/><path fill="#9aa3a8" d="M192 160h16v30h-16z"/><rect x="184" y="70" width="32" height="100" rx="16"/>"##,
    ),
    (
        "umbrella",
        r##"<path fill="none" stroke="#777" stroke-width="10" stroke-linecap="round" d="M200 200v92a18 18 0 0 1-36 0"/><path d="M80 210a120 120 0 0 1 240 0q-20-20-40 0q-20-20-40 0q-20-20-40 0q-20-20-40 0q-20-20-40 0q-20-20-40 0z"/>"##,
    ),
    (
        "vase",
        r#"<path d="M180 90h40v55q52 40 52 98q0 52-42 67h-60q-42-15-42-67q0-58 52-98z"/><ellipse {shade} cx="200" cy="92" rx="20" ry="6"/><path {light} d="M160 190q-18 24-16 56h12q0-30 16-52z"/>"#,
    ),
    (
        "wallet",
        r#"<rect x="105" y="165" width="190" height="130" rx="14"/><path {shade} d="M232 213h63v34h-63a17 17 0 0 1 0-34z"/><path {light} d="M119 178h162v4H119z"/>"#,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_shapes_in_a_colour_are_drawn() {
        assert!(svg("mug-b5654a.svg").unwrap().contains("#b5654a"));
        for name in ["mug.svg", "mug-red.svg", "mug-b5654a", "house-b5654a.svg", "mug-\"><b>.svg", ""] {
            assert_eq!(svg(name), None, "{name}");
        }
    }
}
