//! Mails from sample data, to look at.

use minijinja::Value;

use super::samples::samples;
use super::{Mail, MailTemplates, Sender, Template};
use crate::email_address::EmailAddress;
use crate::ids::EmailId;
use crate::locale::Locale;

/// A mail from sample data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleMail {
    /// Its template.
    pub template: Template,
    /// Which of the things that it may tell, in a word. Empty for the usual one.
    pub case: &'static str,
    /// The language that it is written in.
    pub locale: Locale,
    /// The subject line.
    pub subject: String,
    /// The body for programs that show no HTML.
    pub text: String,
    /// The body as HTML.
    pub html: String,
}

impl MailTemplates {
    /// The mail as a reader with this locale gets it, for each thing that it may tell, the usual one first. An error
    /// is a mistake in a template that was not checked.
    pub fn samples(
        &self,
        sender: &Sender,
        shop_url: Option<&str>,
        template: Template,
        wanted: Option<&Locale>,
    ) -> Result<Vec<SampleMail>, String> {
        let set = self.for_reader(template, wanted);
        let set = set.ok_or_else(|| format!("{template} has no template"))?;
        let shop = set.shop(sender.shop_name(), shop_url);
        let mails = samples(template, &set.language).into_iter().map(|sample| {
            let values = set.values(&shop, Value::from_serialize(sample.contents));
            let written = set.render(template, &values).map_err(|error| format!("{template}: {error}"))?;
            Ok(SampleMail {
                template,
                case: sample.case,
                locale: set.locale.clone(),
                subject: written.subject,
                text: written.text,
                html: written.html,
            })
        });
        mails.collect()
    }
}

impl SampleMail {
    /// The mail to this address, such as to try a mail server.
    pub fn to(self, sender: &Sender, to: &EmailAddress) -> Mail {
        Mail {
            id: EmailId::new(),
            from: sender.clone(),
            to: to.to_ascii().into_owned(),
            reply_to: None,
            subject: self.subject,
            text: self.text,
            html: self.html,
            created_at: chrono::Utc::now(),
        }
    }
}
