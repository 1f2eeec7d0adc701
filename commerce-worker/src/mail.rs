//! `commerce-worker mail …`: how mails look, and whether the mail server takes one.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;

use anyhow::{Context as _, anyhow, bail};
use commerce_core::locale::Locale;
use commerce_core::notifications::{Mailer as _, SampleMail, Template};

use crate::config::{MailCommand, PreviewArgs, SendTestArgs};

/// Runs the command and writes readable output to `out`.
pub async fn mail(command: MailCommand, out: &mut impl Write) -> anyhow::Result<()> {
    match command {
        MailCommand::Preview(args) => preview(&args, out),
        MailCommand::SendTest(args) => send_test(&args, out).await,
    }
}

/// Writes the mails as `<locale>/<template>.html` and `.txt`, and the page that shows them.
fn preview(args: &PreviewArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let PreviewArgs { folder, locale: wanted, mail: settings } = args;
    let templates = settings.templates()?;
    let mut mails = Vec::new();
    let locales: Vec<&Locale> = match wanted {
        Some(wanted) => vec![wanted],
        None => templates.locales().collect(),
    };
    for locale in locales {
        for template in Template::ALL.iter().copied() {
            let samples = templates.samples(&settings.mail_from, settings.shop_url(), template, Some(locale));
            let samples = samples.map_err(|error| anyhow!(error))?;
            // What falls back to another language is shown there.
            mails.extend(samples.into_iter().filter(|mail| wanted.is_some() || mail.locale == *locale));
        }
    }
    for mail in &mails {
        let path = folder.join(path_of(mail));
        let write = |extension: &str, text: &str| -> anyhow::Result<()> {
            let path = path.with_extension(extension);
            fs::create_dir_all(path.parent().unwrap_or(folder))
                .and_then(|()| fs::write(&path, text))
                .with_context(|| path.display().to_string())
        };
        write("html", &mail.html)?;
        write("txt", &format!("{}\n\n{}", mail.subject, mail.text))?;
    }
    let index = folder.join("index.html");
    fs::write(&index, index_of(&mails)).with_context(|| index.display().to_string())?;
    Ok(writeln!(out, "{} mails: see {}", mails.len(), index.display())?)
}

/// Where a mail is below the folder, without its extension.
fn path_of(mail: &SampleMail) -> String {
    let SampleMail { template, case, locale, .. } = mail;
    let dash = if case.is_empty() { "" } else { "-" };
    format!("{locale}/{template}{dash}{case}")
}

/// The page with all mails, as wide as a phone and as a desk.
fn index_of(mails: &[SampleMail]) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Mails</title><style>
body { font-family: sans-serif; margin: 24px; color-scheme: light dark }
iframe { border: 1px solid gray; height: 640px; margin: 0 16px 16px 0; vertical-align: top }
</style></head><body><h1>Mails</h1>\n",
    );
    for mail in mails {
        let path = path_of(mail);
        // A String takes all that is written.
        let _ = write!(
            page,
            "<h2>{path}</h2>
<p>{subject} &middot; <a href=\"{path}.html\">HTML</a> &middot; <a href=\"{path}.txt\">text</a></p>
<iframe loading=\"lazy\" width=\"375\" src=\"{path}.html\"></iframe>\
<iframe loading=\"lazy\" width=\"800\" src=\"{path}.html\"></iframe>\n",
            subject = escaped(&mail.subject),
        );
    }
    page.push_str("</body></html>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

async fn send_test(args: &SendTestArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let SendTestArgs { address, template, locale, mail: settings } = args;
    let (templates, sender) = (settings.templates()?, &settings.mail_from);
    let samples = templates.samples(sender, settings.shop_url(), *template, locale.as_ref());
    let Some(sample) = samples.map_err(|error| anyhow!(error))?.into_iter().next() else {
        bail!("there is no sample of {template}");
    };
    let mail = sample.to(sender, address);
    writeln!(out, "{:?} from {} to {address}", mail.subject, mail.from)?;
    match settings.smtp()? {
        Some(mailer) => writeln!(out, "The mail server took it: {}", mailer.deliver(&mail).await?)?,
        None => {
            let mailer = settings.folder()?;
            mailer.send(&mail).await?;
            let file = mailer.folder().join(format!("{}.eml", mail.id));
            writeln!(out, "SMTP_URL is not set. The mail is a file: {}", file.display())?;
        }
    }
    Ok(())
}
