//! Mails in the language of their reader.

use commerce_core::locale::Locale;
use commerce_core::notifications::MailTemplates;

use super::*;

/// The mail of a new order, for an order and an account with these locales, in a shop with this one.
async fn order_mail(of_order: Option<&str>, of_account: Option<&str>, of_shop: &str) -> ReceivedMail {
    let sql = |locale: Option<&str>| locale.map_or("NULL".to_owned(), |locale| format!("'{locale}'"));
    let locales = format!(
        "UPDATE commerce.orders SET locale = {}; UPDATE commerce.users SET locale = {}",
        sql(of_order),
        sql(of_account)
    );
    let database = database_with(&[ACCOUNT_AND_ORDER, &locales]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    enqueue(&database, NewEmail::about_order(Template::OrderReceived, id(ORDER), &anna())).await;
    let (lease, job) = claim(&database).await;
    let templates = MailTemplates::shipped(of_shop.parse().unwrap());
    let settings = MailSettings { templates, ..settings() };
    notifications::send_email(database.pool(), &mailer, &settings, lease, job.email_id).await.unwrap();
    database.discard().await;
    let [mail]: [ReceivedMail; 1] = peer.mails().try_into().unwrap();
    mail
}

#[tokio::test]
async fn a_mail_is_in_the_language_of_the_order_or_else_of_the_account_or_else_of_the_shop() {
    let (german, english) = ("Wir haben Ihre Bestellung 1001", "We have your order 1001");
    for (of_order, of_account, of_shop, subject) in [
        (Some("de-AT"), Some("en"), "en", german),
        (None, Some("de"), "en", german),
        (None, None, "de", german),
        (Some("en-GB"), Some("de"), "de", english),
        // What the shop does not speak.
        (Some("fr"), None, "de", german),
        (Some("fr"), None, "it", english),
        (None, None, "en", english),
    ] {
        let mail = order_mail(of_order, of_account, of_shop).await;
        assert_eq!(mail.subject(), subject, "{of_order:?} {of_account:?} {of_shop}");
    }
}

#[tokio::test]
async fn numbers_dates_and_words_are_those_of_the_language() {
    let mail = order_mail(Some("de"), None, "en").await;
    assert_eq!(
        mail.text,
        "Guten Tag Anna <b>Ång</b> ström,

vielen Dank! Wir haben Ihre Bestellung und halten die Artikel für Sie bereit
bis zum 21. November 2026, 14:05 Uhr (UTC). Sobald sie bezahlt ist, bereiten wir sie vor.

Bestellung 1001, aufgegeben am 21. November 2026

  2 x Green tea <script> & (TEA-1)
      je 600 JPY, 1.200 JPY
  1 x Teapot
      11.145 JPY

  Zwischensumme: 12.345 JPY
  Versand: 500 JPY
  Gesamtbetrag: 12.845 JPY

Sie geht an:

  Anna Ångström
  1-2-3 Ginza
  Tokyo
  104-0061
  JP

Wenn die Bestellung nicht rechtzeitig bezahlt wird, wird sie automatisch storniert und
kostet Sie nichts.

--
Corner Shop
https://shop.example"
    );
    assert!(mail.html.contains("<html lang=\"de\">"), "{}", mail.html);
    assert!(mail.html.contains("<strong>12.845 JPY</strong>"), "{}", mail.html);
}

/// Mails to the shop are in its language, and so is what it does not have in that language.
#[tokio::test]
async fn every_customer_mail_ships_in_english_and_german_and_alerts_in_english() {
    let templates = MailTemplates::default();
    let locales: Vec<&str> = templates.locales().map(Locale::as_str).collect();
    assert_eq!(locales, ["de", "en"]);
    let german: Locale = "de".parse().unwrap();
    for template in Template::ALL.iter().copied() {
        for wanted in [&german, &Locale::english()] {
            let samples = templates.samples(&settings().sender, None, template, Some(wanted)).unwrap();
            assert!(!samples.is_empty(), "{template}");
            for mail in samples {
                let expected = if template.is_to_shop() { "en" } else { wanted.as_str() };
                assert_eq!(mail.locale.as_str(), expected, "{template}");
                assert!(
                    !mail.subject.is_empty() && !mail.subject.contains('\n'),
                    "{template}: {:?}",
                    mail.subject
                );
                assert!(!mail.text.contains("\n\n\n"), "{template} {} has holes: {}", mail.case, mail.text);
                for part in [&mail.subject, &mail.text, &mail.html] {
                    assert!(!part.contains("{{") && !part.contains("{%"), "{template} {}: {part}", mail.case);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_withdrawal_is_acknowledged_in_the_language_of_whoever_declares_it() {
    let locales = "UPDATE commerce.orders SET locale = 'en'";
    let database = database_with(&[ACCOUNT_AND_ORDER, PAID_AND_CANCELLED, LINK_AND_RETURN, locales]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    let german = "de".parse().unwrap();
    enqueue(&database, NewEmail::about_withdrawal(id(WITHDRAWAL), &anna()).in_locale(Some(&german))).await;
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
    let sent = peer.mails().pop().unwrap();
    assert!(sent.text.contains("Erklärt am: 21. November 2026, 14:05:09 Uhr (UTC)"), "{}", sent.text);
    database.discard().await;
}
