//! What a dry run says of three files in the manner of the worst real ones.

use commerce_core::flows::{ImportMode, ImportOptions, OnError};
use commerce_core::testing::TestDatabase;

use super::imports::import;

const OLD_SHOPIFY: &str = include_str!("../data/import_reports/old_shopify.txt");
const NEW_SHOPIFY: &str = include_str!("../data/import_reports/new_shopify.txt");
const WOOCOMMERCE: &str = include_str!("../data/import_reports/woocommerce.txt");

/// An older export of Shopify that went through a spreadsheet and an editor.
fn old_shopify() -> String {
    let mut csv = String::from(
        "\u{feff}Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,\
         Variant Inventory Qty,Variant Price,Variant Compare At Price,Image Src,Image Position,Image Alt Text,\
         Google Shopping / MPN,Metafield: custom.care [single_line_text_field],Internal note,Status\r\n",
    );
    let body = format!("<div>{}</div>", "<p>Soft &amp; warm 🧦 <b>\"\"wool\"\"</b></p>".repeat(1000));
    assert!(body.len() > 40 * 1024);
    csv += &format!(
        "Sock,Sock 🧦,\"{body}\",Ada,Socks,\"wool, winter\",TRUE,Size,S,STYLE-1,-3,4.50,6.00,https://x.example/0.jpg,1,,MPN-1,Wash cold,,active\r\n"
    );
    csv += "Sock,,,,,,,,M,STYLE-1,-1,4.50,,,,,MPN-2,,,\n";
    csv += "Sock,,,,,,,,L,STYLE-1,12,4.50,,,,,,,,\n";
    for number in 1..300 {
        csv +=
            &format!("Sock,,,,,,,,,,,,,https://x.example/{number}.jpg,{},Picture {number},,,,\n", number + 1);
    }
    csv += "sock,Other sock,,Ada,Socks,,TRUE,Title,Default Title,STYLE-1,5,4.00,,//x.example/other sock.jpg,,,,,check,active\r\n";
    csv += "rack-19,\"19\" rack\",,Bob,Racks,,TRUE,Title,Default Title,R-19,3,99.00,,,,,,,,active\n";
    csv += "staff,Warranty part,,Bob,Parts,,FALSE,Title,Default Title,W-1,3,10.00,,,,,,,,active\r\n";
    csv += "old,Old hat,,Bob,Hats,,TRUE,Title,Default Title,H-1,3,10.00,,,,,,,,archived\r\n";
    csv += "café,Café cup,,Bob,Cups,,TRUE,Title,Default Title,C-1,3,10.00,free,,,,,,,active\n";
    csv +=
        "cafe,Cafe cup,,Bob,Cups,,TRUE,Title,Default Title,C-2,3,12.00,,ftp://x.example/a.jpg,,,,,,active\n";
    csv +=
        "hook,Hook,,Bob,Hooks,,TRUE,Color,Gold,,1,ten,,,,,,,,active\nhook,,,,,,,,Silver,,4,10.00,,,,,,,,\n";
    csv
}

/// A newer export of Shopify, saved by a spreadsheet that separates decimals by commas.
fn new_shopify() -> String {
    let mut csv = String::from(
        "Title;URL handle;Description;Vendor;Type;Tags;Published on online store;Status;SKU;Option1 name;Option1 value;\
         Price;Compare-at price;Inventory quantity;Product image URL;Image alt text;Included / Home;Included / Abroad;\
         Price / Abroad;Color (product.metafields.shopify.color-pattern)\n",
    );
    let long = "ü".repeat(255);
    let too_long = "S".repeat(256);
    for row in [
        "Käsereibe;käsereibe;\"<p>Reibt; fein</p>\";Ada;Küche;;TRUE;Active;K-1;Title;Default Title;12,50;15;10.0;https://x.example/Käse reibe.jpg;;TRUE;TRUE;13,00;silver",
        "Warranty part;warranty-part;;Ada;Parts;;FALSE;Active;;Title;Default Title;10;;3;;;TRUE;TRUE;;",
        "Link only;link-only;;Ada;Parts;;TRUE;Unlisted;;Title;Default Title;10;;3;;;TRUE;TRUE;;",
        "Nowhere;nowhere;;Ada;Parts;;TRUE;Active;;Title;Default Title;10;;3;;;FALSE;FALSE;;",
        "Home only;home-only;;Ada;Parts;;TRUE;Active;;Title;Default Title;10;;3;;;TRUE;FALSE;;",
        "Odd;odd;;Ada;Parts;;TRUE;aktiv;;Title;Default Title;10;;many;;;;;;",
        &format!("Long;long;;Ada;C#;;TRUE;Active;{too_long};Size;{long};1.299,00;;1;;;;;;"),
        "Twice;twice;;Ada;C++;;TRUE;Active;T-1;Title;Default Title;10;;1;;;;;;",
        ";twice;;;;;;;T-2;Title;Default Title;11;;1;;;;;;",
        "Dear;dear;;Ada;C#;;TRUE;Active;;Title;Default Title;1,299.00;;1;;;;;;",
        "Short;short;;Ada",
        "東京;東京;;Ada;茶;;TRUE;Active;;Title;Default Title;10;;1;;;;;;",
    ] {
        csv += row;
        csv += "\r\n";
    }
    csv
}

/// WooCommerce's, with all that its exporter can write.
fn woocommerce() -> String {
    let mut csv = String::from(
        "ID,Type,SKU,Name,Published,\"Is featured?\",\"Visibility in catalog\",\"Short description\",Description,\
         \"Date sale price starts\",\"Date sale price ends\",Stock,\"Sale price\",\"Regular price\",Categories,Tags,Images,\
         Parent,\"External URL\",\"Attribute 1 name\",\"Attribute 1 value(s)\",\"Attribute 2 name\",\"Attribute 2 value(s)\",\
         \"Meta: _wpcom_is_markdown\"\n",
    );
    let images: Vec<String> = (0..300).map(|number| format!("https://x.example/{number}.jpg")).collect();
    let images = images.join(", ");
    for row in [
        &format!(
            "44,variable,tee,Tee 👕,1,1,visible,,\"First \"\"line\"\"\\nSecond\",,,,,,\"Clothing > Tees, Sale\",,\"{images}\",,,Color,\"Red, Blue\",Size,\"S, M\",1"
        ),
        "45,grouped,set,Tee set,1,0,visible,,,,,,,,Clothing,,,,,,,,,1",
        "46,external,,Poster,1,0,visible,,,,,,,9,,,,,https://y.example,,,,,1",
        "47,simple,mug,Mug,0,0,visible,,,,,-2,\"8,50\",\"10,00\",Kitchen,,,,,Glaze,Ink,,,1",
        "48,simple,mug,Mug,1,0,hidden,,,,,1.5,,10,Kitchen,,,,,,,,,",
        "49,simple,,Beaker,-1,0,visible,,,2026-01-01,2026-02-01,4,8,10,Kitchen,,,,,,,,,",
        "50,simple,,Catalogue piece,1,0,search,,,,,4,,,Kitchen,,,,,,,,,",
        "51,variation,tee-1,Tee - Red,1,0,visible,,,,,parent,,20,,,,tee,,Color,Red,Size,,",
        "52,variation,tee-2,Tee - Blue,0,0,visible,,,,,3,,20,,,,id:44,,Color,Blue,Size,M,",
        "53,variation,tee-3,Lost,1,0,visible,,,,,3,,20,,,,id:99,,Color,Blue,Size,M,",
        "54,bundle,,Bundle,1,0,visible,,,,,,,20,,,,,,,,,,",
        "55,simple,'+plus,'=Formula,1,0,visible,,,,,1,,20,,,,,,,,,,",
    ] {
        csv += row;
        csv += "\n";
    }
    csv
}

async fn report_of(csv: &str, on_error: OnError) -> String {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let dry = ImportOptions { mode: ImportMode::DryRun, on_error, ..ImportOptions::default() };
    let report = import(conn, csv, dry).await.unwrap();
    // What the dry run says is what the import does.
    let skip = ImportOptions { mode: ImportMode::Apply, on_error: OnError::Skip, ..dry };
    let applied = import(conn, csv, skip).await.unwrap();
    assert_eq!(
        (applied.created, applied.skipped, &applied.warnings, &applied.hidden),
        (report.created, report.skipped, &report.warnings, &report.hidden)
    );
    // A second time nothing changes.
    let again = import(conn, csv, skip).await.unwrap();
    assert_eq!((again.created, again.updated, again.unchanged), (0, 0, applied.created));
    db.finish().await;
    report.to_string()
}

#[tokio::test]
async fn an_older_export_of_shopify() {
    assert_eq!(report_of(&old_shopify(), OnError::Abort).await, OLD_SHOPIFY);
}

#[tokio::test]
async fn a_newer_export_of_shopify() {
    assert_eq!(report_of(&new_shopify(), OnError::Skip).await, NEW_SHOPIFY);
}

#[tokio::test]
async fn an_export_of_woocommerce() {
    assert_eq!(report_of(&woocommerce(), OnError::Skip).await, WOOCOMMERCE);
}
