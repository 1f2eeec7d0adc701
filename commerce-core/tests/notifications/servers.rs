//! Mail servers that answer late.

use commerce_core::notifications::{Mail, MailTemplates};

use super::*;

fn mail_to(to: &str) -> Mail {
    let sender = settings().sender;
    let samples = MailTemplates::default().samples(&sender, None, Template::Welcome, None).unwrap();
    samples.into_iter().next().unwrap().to(&sender, &email(to))
}

/// Otherwise a mail that is refused would count as sent.
#[tokio::test]
async fn an_answer_that_comes_too_late_is_not_taken_for_that_of_the_next_mail() {
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap().answer_within(Duration::from_millis(300));
    // There is a connection that could be used again.
    mailer.deliver(&mail_to("first@example.com")).await.unwrap();
    peer.plan("late@example.com", [SmtpBehaviour::Delay(Duration::from_millis(600))]);
    peer.plan("unknown@example.com", [SmtpBehaviour::RefuseRecipients]);
    let late = mailer.deliver(&mail_to("late@example.com")).await.unwrap_err();
    assert!(
        matches!(&late, SendMailError::Unavailable(error) if error.contains("did not answer within 300ms")),
        "{late}"
    );
    let unknown = mailer.deliver(&mail_to("unknown@example.com")).await.unwrap_err();
    assert!(matches!(unknown, SendMailError::Refused(_)), "{unknown}");

    // Nor if it is the sender who stops to wait.
    peer.plan("late@example.com", [SmtpBehaviour::Delay(Duration::from_millis(200))]);
    peer.plan("unknown@example.com", [SmtpBehaviour::RefuseRecipients]);
    let mail = mail_to("late@example.com");
    assert!(tokio::time::timeout(Duration::from_millis(50), mailer.deliver(&mail)).await.is_err());
    let unknown = mailer.deliver(&mail_to("unknown@example.com")).await.unwrap_err();
    assert!(matches!(unknown, SendMailError::Refused(_)), "{unknown}");

    assert_eq!(mailer.deliver(&mail_to("last@example.com")).await.unwrap(), "250 OK, it is here");
    let got: Vec<String> = peer.mails().into_iter().flat_map(|mail| mail.recipients).collect();
    assert_eq!(got, ["first@example.com", "last@example.com"]);
}

#[tokio::test]
async fn a_connection_is_used_again_and_a_closed_one_is_not() {
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    for n in 1..=3 {
        mailer.deliver(&mail_to(&format!("reader-{n}@example.com"))).await.unwrap();
    }
    assert_eq!(peer.connections(), 1);
    let address = peer.address();
    peer.stop().await;
    let peer = SmtpPeer::start_on(address).await.unwrap();
    mailer.deliver(&mail_to("reader-4@example.com")).await.unwrap();
    assert_eq!((peer.connections(), peer.mails().len()), (1, 1));
}
