//! A shop's own templates and brand.

use commerce_core::locale::Locale;
use commerce_core::notifications::{InvalidTemplates, MailTemplates, SampleMail};

use super::*;

fn templates(files: &[(&str, &str)], default: &str) -> Result<MailTemplates, InvalidTemplates> {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    MailTemplates::with_files(files, default.parse().unwrap())
}

fn sample(templates: &MailTemplates, template: Template, locale: &str) -> SampleMail {
    let locale: Locale = locale.parse().unwrap();
    let url = Some("https://shop.example");
    templates.samples(&settings().sender, url, template, Some(&locale)).unwrap().remove(0)
}

/// The mistakes in these files, each of which is found.
fn mistakes(files: &[(&str, &str)]) -> Vec<String> {
    templates(files, "en").unwrap_err().mistakes().map(str::to_owned).collect()
}

const BRAND: &str = r##"
name = "Tea & Sons"
logo = "https://shop.example/logo.png"
address = ["1 High Street", "London"]
footer = "Registered in England, No. 123"

[colours]
accent = "#7c2d12"

[dark_colours]
accent = "#fdba74"
"##;

#[test]
fn a_file_of_the_shop_takes_the_place_of_the_one_that_ships() {
    let own = templates(
        &[
            ("brand.toml", BRAND),
            ("de/brand.toml", "footer = \"Eingetragen in England\""),
            ("welcome.subject", "Hi from {{ shop.name }}"),
            ("de/welcome.subject", "Hallo von {{ shop.name }}"),
            ("de-AT/welcome.subject", "Servus von {{ shop.name }}"),
        ],
        "en",
    )
    .unwrap();
    for (locale, subject, text) in [
        ("en", "Hi from Tea & Sons", "We are glad that you are here."),
        ("de", "Hallo von Tea & Sons", "Schön, dass Sie da sind."),
        ("de-CH", "Hallo von Tea & Sons", "Schön, dass Sie da sind."),
        ("de-AT", "Servus von Tea & Sons", "Schön, dass Sie da sind."),
    ] {
        let mail = sample(&own, Template::Welcome, locale);
        assert_eq!(mail.subject, subject);
        assert!(mail.text.contains(text), "{}", mail.text);
        let footer = if locale == "en" { "Registered in England, No. 123" } else { "Eingetragen in England" };
        let foot = format!("--\nTea & Sons\n1 High Street\nLondon\nhttps://shop.example\n\n{footer}\n");
        assert!(mail.text.ends_with(&foot), "{}", mail.text);
        for part in ["Tea &amp; Sons", "logo.png", "1 High Street", footer, "#fdba74"] {
            assert!(mail.html.contains(part), "{part}: {}", mail.html);
        }
    }
    assert!(sample(&own, Template::PasswordReset, "en").html.contains("background:#7c2d12"));
}

/// A language that does not ship needs what a mail consists of. A mail that it lacks is written in another language.
#[test]
fn a_shop_adds_a_language() {
    let french = include_str!("../../src/notifications/templates/en/locale.toml")
        .replace("decimal = \".\"", "decimal = \",\"")
        .replace("group = \",\"", "group = \" \"")
        .replace("November", "novembre")
        .replace("\"Total\"", "\"Total TTC\"");
    let files = [
        ("fr/locale.toml", french.as_str()),
        ("fr/order_confirmed.subject", "Votre commande {{ order.number }}"),
        ("fr/order_confirmed.txt", "Bonjour !\n\n{% include \"order.txt\" %}\n"),
        (
            "fr/order_confirmed.html",
            "{% extends \"layout.html\" %}{% block content %}<p>Bonjour !</p>{% endblock %}",
        ),
    ];
    let own = templates(&files, "de").unwrap();
    let mail = sample(&own, Template::OrderConfirmed, "fr-FR");
    assert_eq!((mail.locale.as_str(), mail.subject.as_str()), ("fr", "Votre commande 1001"));
    assert!(mail.text.contains("Total TTC: 1 481,58 EUR"), "{}", mail.text);
    assert!(mail.html.contains("<html lang=\"fr\">"), "{}", mail.html);
    assert_eq!(sample(&own, Template::Welcome, "fr").locale.as_str(), "de");

    let missing = mistakes(&files[1..]);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].starts_with("fr/locale.toml: is missing."), "{missing:?}");
    let half = mistakes(&files[..2]);
    assert_eq!(half.len(), 2, "{half:?}");
    assert!(half[0].starts_with("fr/order_confirmed.html: is missing."), "{half:?}");
    // It would bring English words into a mail in another language.
    let shorter = french.replace("subtotal = \"Subtotal\"\n", "");
    let words = mistakes(&[("fr/locale.toml", &shorter)]);
    assert_eq!(words, ["fr/locale.toml: words.subtotal is missing"]);
}

#[test]
fn every_mistake_is_named_at_once_with_its_place() {
    let found = mistakes(&[
        ("brand.toml", "colour = \"red\""),
        ("welcom.txt", "Hello"),
        ("de_DE/welcome.txt", "Hallo"),
        ("DE/welcome.txt", "Hallo"),
        ("de/mails/welcome.txt", "Hallo"),
        ("locale.toml", ""),
        ("en/welcome.txt", "Hello\n{{ user.name"),
        ("en/order_shipped.txt", "{% if parcel.is_again %}\n\n{{ parcel.wait }}\n{% endif %}"),
        ("de/order_confirmed.html", "{% for line in order.lines %}\n{{ line.titel }}\n{% endfor %}"),
        ("en/order.txt", "{{ words.total }}\n{{ order.sum }}"),
        ("en/password_changed.txt", "{% include \"greeting.txt\" %}"),
    ]);
    for (place, says) in [
        ("brand.toml: ", "unknown field `colour`"),
        ("welcom.txt: ", "no mail has a file of this name. There are files of: account_exists, "),
        ("de_DE/welcome.txt: ", "the name of the folder must be a language of BCP 47, such as de or en-GB"),
        ("DE/welcome.txt: ", "the folder must be called de"),
        ("de/mails/welcome.txt: ", "is too deep"),
        ("locale.toml: ", "belongs into the folder of a locale"),
        ("en/welcome.txt:2: ", "syntax error"),
        ("en/order_shipped.txt:3: ", "there is no variable parcel.wait. There are: "),
        ("de/order_confirmed.html:2: ", "undefined value. There are: "),
        ("en/order.txt:2: ", "undefined value. There are: "),
        ("en/password_changed.txt:1: ", "greeting.txt"),
    ] {
        assert!(
            found.iter().any(|mistake| mistake.starts_with(place) && mistake.contains(says)),
            "{place}{says}\n{found:#?}"
        );
    }
    let shipped = found.iter().find(|mistake| mistake.starts_with("en/order_shipped.txt")).unwrap();
    for variable in ["order.number", "order.lines[].title", "parcel.tracking_url", "shop.name", "words.*"] {
        assert!(shipped.contains(variable), "{variable}: {shipped}");
    }
}

#[test]
fn values_are_escaped_in_the_html_of_a_shop_too() {
    let html = "{% extends \"layout.html\" %}{% block content %}<p>{{ message.message }}</p>{% endblock %}";
    let own = templates(&[("contact_message.html", html), ("brand.toml", "name = \"<b>\"")], "en").unwrap();
    let mail = sample(&own, Template::ContactMessage, "en");
    assert!(mail.html.contains("&lt;b&gt;") && !mail.html.contains("<b>"), "{}", mail.html);
}

#[test]
fn a_folder_is_read_with_all_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &[u8]| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("brand.toml", BRAND.as_bytes());
    write("de/welcome.subject", "Grüß Gott".as_bytes());
    write(".gitkeep", b"");
    write("de/.DS_Store", b"\xff");
    let own = MailTemplates::from_folder(folder.path(), Locale::english()).unwrap();
    assert_eq!(sample(&own, Template::Welcome, "de").subject, "Grüß Gott");

    write("de/welcome.txt", b"\xff");
    write("de/deeper/welcome.txt", b"Hallo");
    write("welcome.html", &[b'x'; 300 * 1024]);
    let error = MailTemplates::from_folder(folder.path(), Locale::english()).unwrap_err().to_string();
    for says in
        ["de/welcome.txt: ", "de/deeper: there are no folders", "welcome.html: is longer than 256 KiB"]
    {
        assert!(error.contains(says), "{says}: {error}");
    }
    let missing = MailTemplates::from_folder(&folder.path().join("nowhere"), Locale::english()).unwrap_err();
    assert!(missing.to_string().contains("nowhere: "), "{missing}");
}
