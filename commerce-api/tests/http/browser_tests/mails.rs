//! Every mail, on a phone and on a desk, light and dark.

use commerce_core::locale::Locale;
use commerce_core::notifications::{MailTemplates, Sender, Template};
use serde_json::json;

use crate::webdriver::browser;

/// What is wider than the screen, and every text that stands out too little from what is behind it (WCAG 2, AA).
const FAULTS: &str = r"
    const faults = [];
    const wide = document.documentElement.scrollWidth - window.innerWidth;
    if (wide > 0) faults.push(`${wide} px wider than the screen`);
    const channels = colour => colour.match(/[\d.]+/g).map(Number);
    const light = colour => {
        const [r, g, b] = channels(colour).slice(0, 3).map(part => {
            const share = part / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if ((channels(colour)[3] ?? 1) > 0) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode.textContent.trim();
        if (!text) continue;
        const element = texts.currentNode.parentElement;
        const [front, back] = [light(getComputedStyle(element).color), light(behind(element))];
        const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
        if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(1)}: ${text}`);
    }
    return faults;
";

#[tokio::test(flavor = "multi_thread")]
async fn every_mail_fits_its_screen_and_can_be_read_in_the_dark() {
    let Some(browser) = browser("mails::every_mail_fits_its_screen_and_can_be_read_in_the_dark").await else {
        return;
    };
    let templates = MailTemplates::default();
    let sender: Sender = "Corner Shop <hello@shop.example>".parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let locales: Vec<Locale> = templates.locales().cloned().collect();
    for template in Template::ALL.iter().copied() {
        for locale in &locales {
            let url = Some("https://shop.example");
            for mail in templates.samples(&sender, url, template, Some(locale)).unwrap() {
                let name = format!("{}-{template}-{}.html", mail.locale, mail.case);
                let file = folder.path().join(&name);
                std::fs::write(&file, &mail.html).unwrap();
                browser.open(&format!("file://{}", file.display())).await;
                for (width, dark) in [(375, false), (375, true), (800, false), (800, true)] {
                    browser.on_a_screen_of(width, 700).await;
                    browser.prefer_dark(dark).await;
                    let faults = browser.run(FAULTS).await;
                    assert_eq!(faults, json!([]), "{name}, {width} px, dark: {dark}");
                }
            }
        }
    }
    browser.quit().await;
}
