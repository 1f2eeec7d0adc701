//! The templates of mails: those that ship, and a shop's own in their place.
//!
//! A template is three files: `<name>.subject`, `<name>.txt` and `<name>.html`, in which values are escaped. They are
//! in the folder of a locale, beside `locale.toml`. A file of the shop takes the place of the one that ships. At the
//! top of the shop's folder, it does so for all locales. `brand.toml` says how the shop looks.
//!
//! | for `de-AT` | the first of these is used |
//! |---|---|
//! | the shop's | `de-AT/welcome.txt`, `de/welcome.txt`, `welcome.txt` |
//! | what ships | `de/welcome.txt`; parts without words ship for all locales |
//!
//! A mail is written in one language. It is the first for which all three files exist: that of the customer, then the
//! shop's, then English.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::Template;
use super::brand::{Brand, ShopFacts};
use super::language::Language;
use super::shipped;
use crate::locale::Locale;

/// The extensions of a mail's files.
pub(super) const EXTENSIONS: [&str; 3] = ["subject", "txt", "html"];

/// The templates of all mails. Cheap to clone. By default those that ship, and English is the shop's language.
#[derive(Debug, Clone)]
pub struct MailTemplates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    default: Locale,
    sets: BTreeMap<Locale, TemplateSet>,
}

/// The templates of a locale.
#[derive(Debug)]
pub(super) struct TemplateSet {
    pub locale: Locale,
    pub language: Language,
    brand: Brand,
    pub environment: Environment<'static>,
    /// Where each file of the environment comes from.
    pub origins: BTreeMap<String, Origin>,
}

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// It ships.
    Shipped(String),
    /// It is the shop's, at this path.
    Shop(String),
}

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Default for MailTemplates {
    fn default() -> Self {
        Self::shipped(Locale::english())
    }
}

impl MailTemplates {
    /// The templates that ship. Mails to the shop, and to customers whose language is not known, are in the default
    /// locale.
    pub fn shipped(default: Locale) -> Self {
        let (templates, faults) = Self::build(&BTreeMap::new(), default);
        debug_assert!(faults.is_empty(), "{faults:?}");
        templates
    }

    /// All locales that mails are written in.
    pub fn locales(&self) -> impl Iterator<Item = &Locale> {
        self.0.sets.keys()
    }

    /// The templates of a locale, if it is one of [`locales`](Self::locales).
    pub(super) fn set(&self, locale: &Locale) -> Option<&TemplateSet> {
        self.0.sets.get(locale)
    }

    /// The templates in which this mail is written to somebody who wants this locale.
    pub(super) fn for_reader(&self, template: Template, wanted: Option<&Locale>) -> Option<&TemplateSet> {
        let english = Locale::english();
        let wanted = wanted.into_iter().chain([&self.0.default, &english]);
        let mut sets = wanted.flat_map(Locale::and_wider).filter_map(|locale| self.0.sets.get(&locale));
        sets.find(|set| set.has(template))
    }

    /// Puts the shop's files, by path, in the place of those that ship. Returns what is wrong with them, too.
    pub(super) fn build(files: &BTreeMap<String, String>, default: Locale) -> (Self, BTreeSet<String>) {
        let mut faults = BTreeSet::new();
        let shipped: BTreeMap<&str, &str> = shipped::files().collect();
        let known: BTreeSet<&str> = shipped.keys().map(|path| name_of(path)).chain(["brand.toml"]).collect();
        let (mut locales, mut own) = (BTreeSet::new(), BTreeMap::new());
        for (path, text) in files {
            match locale_of(path, &known) {
                Ok(locale) => {
                    locales.extend(locale);
                    own.insert(path.as_str(), text.as_str());
                }
                Err(fault) => drop(faults.insert(format!("{path}: {fault}"))),
            }
        }
        locales.extend(shipped.keys().filter_map(|path| path.split_once('/')?.0.parse().ok()));
        let sources = Sources { own, shipped };
        let mut sets = BTreeMap::new();
        for locale in locales {
            if let Some(set) = sources.set(&locale, &known, &mut faults) {
                sets.insert(locale, set);
            }
        }
        (Self(Arc::new(Inner { default, sets })), faults)
    }
}

/// The name of a file without its folder.
fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The locale whose folder a file of the shop is in; none if it is for all locales.
fn locale_of(path: &str, known: &BTreeSet<&str>) -> Result<Option<Locale>, String> {
    let name = name_of(path);
    if !known.contains(name) {
        let stems = known.iter().filter_map(|name| Some(name.rsplit_once('.')?.0));
        let stems: Vec<&str> = stems.collect::<BTreeSet<&str>>().into_iter().collect();
        return Err(format!("no mail has a file of this name. There are files of: {}", stems.join(", ")));
    }
    match path.split_once('/') {
        None if name == "locale.toml" => Err("belongs into the folder of a locale, such as de".to_owned()),
        None => Ok(None),
        Some((folder, rest)) if rest == name => {
            let locale: Locale = folder.parse().map_err(|error| format!("the name of the folder {error}"))?;
            if locale.as_str() != folder {
                return Err(format!("the folder must be called {locale}"));
            }
            Ok(Some(locale))
        }
        Some(_) => Err("is too deep: files are at the top or in the folder of a locale".to_owned()),
    }
}

/// The shop's files and those that ship.
struct Sources<'a> {
    own: BTreeMap<&'a str, &'a str>,
    shipped: BTreeMap<&'static str, &'static str>,
}

impl Sources<'_> {
    /// The file that a locale uses, and where it comes from.
    fn find(&self, locale: &Locale, name: &str) -> Option<(Origin, &str)> {
        let paths: Vec<String> =
            locale.and_wider().map(|locale| format!("{locale}/{name}")).chain([name.to_owned()]).collect();
        let own =
            paths.iter().find_map(|path| Some((Origin::Shop(path.clone()), *self.own.get(path.as_str())?)));
        own.or_else(|| {
            paths
                .iter()
                .find_map(|path| Some((Origin::Shipped(path.clone()), *self.shipped.get(path.as_str())?)))
        })
    }

    /// The templates of a locale. Adds what is wrong with its files.
    fn set(
        &self,
        locale: &Locale,
        known: &BTreeSet<&str>,
        faults: &mut BTreeSet<String>,
    ) -> Option<TemplateSet> {
        let mut fault = |path: &str, text: &str| {
            faults.insert(format!("{path}: {text}"));
        };
        let Some((origin, text)) = self.find(locale, "locale.toml") else {
            let missing =
                "is missing. It says how the language writes numbers and dates: copy that of English";
            fault(&format!("{locale}/locale.toml"), missing);
            return None;
        };
        let language = match Language::parse(text) {
            Ok(language) => language,
            Err(error) => {
                fault(origin.path(), &error);
                return None;
            }
        };
        let words = self.shipped.get("en/locale.toml").and_then(|english| Language::parse(english).ok());
        for word in words.iter().flat_map(|english| english.words.keys()) {
            if !language.words.contains_key(word) {
                fault(origin.path(), &format!("words.{word} is missing"));
            }
        }
        let mut brand = Brand::default();
        let folders = locale.and_wider().map(|locale| format!("{locale}/brand.toml"));
        for path in folders.chain(["brand.toml".to_owned()]) {
            match self.own.get(path.as_str()).map(|text| Brand::parse(text)) {
                Some(Ok(wider)) => brand = brand.or(&wider),
                Some(Err(error)) => fault(&path, &error),
                None => {}
            }
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_keep_trailing_newline(true);
        let numbers = language.clone();
        environment.add_filter("number", move |number: i64| numbers.number(number));
        let mut origins = BTreeMap::new();
        for name in known.iter().copied().filter(|name| !name.ends_with(".toml")) {
            let Some((origin, text)) = self.find(locale, name) else { continue };
            if let Err(error) = environment.add_template_owned(name.to_owned(), text.to_owned()) {
                fault(&format!("{}:{}", origin.path(), error.line().unwrap_or(1)), &what_it_is(&error));
            }
            origins.insert(name.to_owned(), origin);
        }
        Some(TemplateSet { locale: locale.clone(), language, brand, environment, origins })
    }
}

impl Origin {
    /// The path below the folder of templates.
    pub fn path(&self) -> &str {
        match self {
            Self::Shipped(path) | Self::Shop(path) => path,
        }
    }
}

/// A mistake in a template, without its place.
pub(super) fn what_it_is(error: &minijinja::Error) -> String {
    let kind = error.kind();
    error.detail().map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}"))
}

impl TemplateSet {
    /// Whether all files of the mail are there.
    pub fn has(&self, template: Template) -> bool {
        EXTENSIONS.iter().all(|extension| self.origins.contains_key(&format!("{template}.{extension}")))
    }

    /// The shop, as this locale shows it.
    pub fn shop(&self, name: &str, url: Option<&str>) -> ShopFacts {
        self.brand.shop(name, url)
    }

    /// What a template can use.
    pub fn values(&self, shop: &ShopFacts, contents: Value) -> Value {
        let (words, locale) = (&self.language.words, self.locale.as_str());
        context! { shop, words, locale, subject => "", ..contents }
    }

    /// Fills the templates of a mail. An error is a mistake in one of them, or a fact that it lacks.
    pub fn render(&self, template: Template, values: &Value) -> Result<Rendered, minijinja::Error> {
        let fill = |extension: &str, values: &Value| {
            self.environment.get_template(&format!("{template}.{extension}"))?.render(values)
        };
        let subject = fill("subject", values)?.trim().to_owned();
        let text = fill("txt", values)?.trim().to_owned() + "\n";
        let html = fill("html", &context! { subject, ..values.clone() })?;
        Ok(Rendered { subject, text, html })
    }
}
