//! `commerce-worker mail`, and templates of the shop's own at the start.

use std::path::PathBuf;
use std::process::Output;

use commerce_core::testing::{SmtpBehaviour, SmtpPeer};
use tokio::process::Command;

use crate::given::{self, database};
use crate::program;

/// The program without a database and without a secret.
async fn mail(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_commerce-worker"));
    command.env_clear().env("COMMERCE_MAIL_FROM", "Corner Shop <hello@shop.example>");
    command.current_dir(std::env::temp_dir()).arg("mail").args(arguments);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    (status.success(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

fn scratch_folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("commerce-templates-{}", given::unique()));
    std::fs::create_dir_all(folder.join("de")).unwrap();
    folder
}

#[tokio::test]
async fn a_preview_shows_every_mail_in_every_language() {
    let (own, folder) = (scratch_folder(), scratch_folder());
    std::fs::write(own.join("de/welcome.subject"), "Grüß Gott & willkommen").unwrap();
    let templates = own.to_str().unwrap();
    let (fine, told) = mail(&["preview", folder.to_str().unwrap(), "--templates", templates]).await;
    assert!(fine && told.contains("index.html"), "{told}");
    let index = std::fs::read_to_string(folder.join("index.html")).unwrap();
    for part in [
        "<h2>de/welcome</h2>\n<p>Grüß Gott &amp; willkommen &middot;",
        "<iframe loading=\"lazy\" width=\"375\" src=\"en/order_confirmed.html\">",
        "<iframe loading=\"lazy\" width=\"800\" src=\"de/return_update-approved.html\">",
        "<h2>en/low_stock_alert</h2>",
    ] {
        assert!(index.contains(part), "{part}");
    }
    assert!(!index.contains("de/low_stock_alert"));
    let text = std::fs::read_to_string(folder.join("de/order_confirmed.txt")).unwrap();
    assert!(text.contains("Gesamtbetrag: 1.481,58 EUR"), "{text}");
    let sources = index.matches(" width=\"375\"").count();
    let files = ["de", "en"].map(|locale| std::fs::read_dir(folder.join(locale)).unwrap().count());
    assert_eq!(files.iter().sum::<usize>(), 2 * sources);

    let (fine, told) = mail(&["preview", folder.to_str().unwrap(), "--locale", "de-AT"]).await;
    assert!(fine, "{told}");
    let index = std::fs::read_to_string(folder.join("index.html")).unwrap();
    assert!(index.contains("<h2>de/welcome</h2>") && !index.contains("<h2>en/welcome</h2>"));
    for folder in [own, folder] {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[tokio::test]
async fn a_test_mail_says_what_the_server_answers() {
    let peer = SmtpPeer::start().await.unwrap();
    let url = peer.url();
    let send = async |more: &[&str]| {
        mail(&[&["send-test", "Ada@bücher.example", "--smtp-url", &url], more].concat()).await
    };
    let (fine, told) = send(&["--template", "order_shipped", "--locale", "de"]).await;
    assert!(fine && told.contains("The mail server took it: 250 OK, it is here"), "{told}");
    let sent = peer.mails().pop().unwrap();
    assert_eq!(sent.recipients, ["ada@xn--bcher-kva.example"]);
    assert_eq!(sent.subject(), "Ihre Bestellung 1001 ist unterwegs");

    peer.behave(SmtpBehaviour::RefuseRecipients);
    let (fine, told) = send(&[]).await;
    assert!(!fine && told.contains("No such mailbox here"), "{told}");
    let (fine, told) = send(&["--template", "newsletter"]).await;
    assert!(!fine && told.contains("is not one of: verify_email_code, "), "{told}");
    peer.stop().await;
    let (fine, told) = send(&[]).await;
    assert!(!fine && told.contains("could not be handed over"), "{told}");

    let folder = scratch_folder();
    let (fine, told) = mail(&["send-test", "ada@example.com", "--mail-dir", folder.to_str().unwrap()]).await;
    assert!(fine && told.contains(".eml"), "{told}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_with_mistakes_stop_the_start_with_all_of_them() {
    let database = database().await;
    let own = scratch_folder();
    std::fs::write(own.join("brand.toml"), "[colours]\naccent = \"red\"\n").unwrap();
    std::fs::write(own.join("de/welcome.txt"), "Grüß Gott\n{{ user.vorname }}\n").unwrap();
    let mut command = program::command(&database);
    command.env("COMMERCE_MAIL_TEMPLATES", &own).env("COMMERCE_LOCALE", "de");
    let Output { status, stderr, .. } = command.output().await.unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(!status.success(), "{stderr}");
    for says in [
        "error: COMMERCE_MAIL_TEMPLATES: the mail templates cannot be used:\n",
        "\n  brand.toml: colours.accent: \"red\" is not a colour such as #1c1917\n",
        "\n  de/welcome.txt:2: there is no variable user.vorname. There are: ",
        ", user.name, ",
    ] {
        assert!(stderr.contains(says), "{says}: {stderr}");
    }
    std::fs::remove_dir_all(own).unwrap();
    database.finish().await;
}
