//! Whether a shop's own templates can be used. Every mail is written from sample data, so that a mistake shows when the
//! program starts, and not when the first customer should get the mail.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use minijinja::{ErrorKind, Value};

use super::mail_templates::{EXTENSIONS, Origin, TemplateSet, what_it_is};
use super::samples::samples;
use super::{MailTemplates, Template};
use crate::locale::Locale;

/// The longest file of a template, in bytes.
const FILE_MAX: u64 = 256 * 1024;

/// Everything that is wrong with the templates of a shop: each mistake with its file, and its line where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTemplates(BTreeSet<String>);

impl InvalidTemplates {
    /// The mistakes, one a text.
    pub fn mistakes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for InvalidTemplates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the mail templates cannot be used:")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for InvalidTemplates {}

impl MailTemplates {
    /// The templates that ship, with these files in their place: pairs of a path, such as `de/welcome.txt`, and a text.
    /// A program can bring them from wherever it likes. Each is checked.
    pub fn with_files(
        files: impl IntoIterator<Item = (String, String)>,
        default: Locale,
    ) -> Result<Self, InvalidTemplates> {
        let files: BTreeMap<String, String> = files.into_iter().collect();
        let (templates, mut mistakes) = Self::build(&files, default);
        for set in templates.locales().filter_map(|locale| templates.set(locale)) {
            check_set(set, &mut mistakes);
        }
        if mistakes.is_empty() { Ok(templates) } else { Err(InvalidTemplates(mistakes)) }
    }

    /// Like [`with_files`](Self::with_files), with all files of a folder. Those whose name begins with a dot are left
    /// out.
    pub fn from_folder(folder: &Path, default: Locale) -> Result<Self, InvalidTemplates> {
        let (mut files, mut mistakes) = (Vec::new(), BTreeSet::new());
        if let Err(error) = read_folder(folder, "", &mut files, &mut mistakes) {
            mistakes.insert(format!("{}: {error}", folder.display()));
        }
        match Self::with_files(files, default) {
            Ok(templates) if mistakes.is_empty() => Ok(templates),
            Ok(_) => Err(InvalidTemplates(mistakes)),
            Err(InvalidTemplates(more)) => Err(InvalidTemplates(mistakes.into_iter().chain(more).collect())),
        }
    }
}

/// Reads the files of the folder and of those in it. `path` is where the folder is below the first one.
fn read_folder(
    folder: &Path,
    path: &str,
    files: &mut Vec<(String, String)>,
    mistakes: &mut BTreeSet<String>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        // Follows links, because a volume of a container may consist of them.
        let about = fs::metadata(entry.path())?;
        if about.is_dir() && path.contains('/') {
            mistakes.insert(format!("{path}: there are no folders in the folder of a locale"));
        } else if about.is_dir() {
            read_folder(&entry.path(), &path, files, mistakes)?;
        } else if about.len() > FILE_MAX {
            mistakes.insert(format!("{path}: is longer than {} KiB", FILE_MAX / 1024));
        } else {
            match fs::read_to_string(entry.path()) {
                Ok(text) => files.push((path, text)),
                Err(error) => drop(mistakes.insert(format!("{path}: {error}"))),
            }
        }
    }
    Ok(())
}

/// Writes every mail of a locale from sample data.
fn check_set(set: &TemplateSet, mistakes: &mut BTreeSet<String>) {
    for template in Template::ALL.iter().copied() {
        if set.has(template) {
            check_mail(set, template, mistakes);
        } else {
            name_missing(set, template, mistakes);
        }
    }
}

/// A mail is in one language, so a part of it is of no use.
fn name_missing(set: &TemplateSet, template: Template, mistakes: &mut BTreeSet<String>) {
    let names = EXTENSIONS.map(|extension| format!("{template}.{extension}"));
    let in_locale = |origin: &Origin| matches!(origin, Origin::Shop(path) if path.contains('/'));
    if !names.iter().any(|name| set.origins.get(name).is_some_and(in_locale)) {
        return;
    }
    let locale = &set.locale;
    for name in names.iter().filter(|name| !set.origins.contains_key(*name)) {
        mistakes.insert(format!(
            "{locale}/{name}: is missing. A mail has a subject, a text and HTML in one language"
        ));
    }
}

fn check_mail(set: &TemplateSet, template: Template, mistakes: &mut BTreeSet<String>) {
    let is_broken = |name: &str| set.environment.get_template(name).is_err();
    if EXTENSIONS.iter().any(|extension| is_broken(&format!("{template}.{extension}"))) {
        return;
    }
    let shop = set.shop("Corner Shop", Some("https://shop.example"));
    let samples = samples(template, &set.language);
    let values: Vec<Value> =
        samples.into_iter().map(|sample| set.values(&shop, Value::from_serialize(sample.contents))).collect();
    let known: Vec<serde_json::Value> =
        values.iter().filter_map(|value| serde_json::to_value(value).ok()).collect();
    let unknown = unknown_variables(set, template, &known);
    if !unknown.is_empty() {
        let names = names_of(&known);
        mistakes.extend(unknown.into_iter().map(|unknown| format!("{unknown}. There are: {names}")));
        return;
    }
    for value in &values {
        let Err(error) = set.render(template, value) else { continue };
        let (kind, place) = (innermost(&error).kind(), place_of(set, &error));
        // A part with a mistake is named once, whichever mails include it.
        let is_known = mistakes.iter().any(|known| known.starts_with(&place))
            || kind == ErrorKind::TemplateNotFound
                && set.origins.keys().any(|name| place.contains(name) && is_broken(name));
        if !is_known {
            let names = match kind {
                ErrorKind::UndefinedError => format!(". There are: {}", names_of(&known)),
                _ => String::new(),
            };
            mistakes.insert(place + &names);
        }
    }
}

/// The variables in the files of the mail that no sample has, also where no sample leads.
fn unknown_variables(set: &TemplateSet, template: Template, known: &[serde_json::Value]) -> BTreeSet<String> {
    let mut unknown = BTreeSet::new();
    for name in EXTENSIONS.map(|extension| format!("{template}.{extension}")) {
        let Ok(source) = set.environment.get_template(&name) else { continue };
        let path = set.origins.get(&name).map(Origin::path).unwrap_or_default();
        for variable in source.undeclared_variables(true) {
            let is_function = set.environment.globals().any(|(global, _)| global == variable);
            if is_function || known.iter().any(|values| has(values, &variable)) {
                continue;
            }
            let line =
                source.source().lines().position(|line| line.contains(&variable)).map_or(1, |line| line + 1);
            unknown.insert(format!("{path}:{line}: there is no variable {variable}"));
        }
    }
    unknown
}

/// Whether there is a value at the end of `order.number`, or nothing is known of what is in it.
fn has(values: &serde_json::Value, variable: &str) -> bool {
    let mut value = values;
    for part in variable.split('.') {
        match value {
            serde_json::Value::Object(fields) => match fields.get(part) {
                Some(field) => value = field,
                None => return false,
            },
            serde_json::Value::Array(_) | serde_json::Value::Null => return true,
            _ => return false,
        }
    }
    true
}

/// The names of all variables, for people.
fn names_of(known: &[serde_json::Value]) -> String {
    fn collect(value: &serde_json::Value, name: &str, names: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (field, value) in fields {
                    let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                    collect(value, &name, names);
                }
            }
            serde_json::Value::Array(items) => {
                let Some(item @ serde_json::Value::Object(_)) = items.first() else {
                    names.insert(name.to_owned());
                    return;
                };
                collect(item, &format!("{name}[]"), names);
            }
            _ => drop(names.insert(name.to_owned())),
        }
    }
    let mut names = BTreeSet::new();
    known.iter().for_each(|values| collect(values, "", &mut names));
    // Those that every mail has, in short.
    for table in ["words.", "shop.colours.", "shop.dark_colours."] {
        names.retain(|name| !name.starts_with(table));
        names.insert(format!("{table}*"));
    }
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The error in the file where it is, and not in those that include it.
fn innermost(error: &minijinja::Error) -> &minijinja::Error {
    let mut error = error;
    while let Some(inner) = error.source().and_then(|source| source.downcast_ref::<minijinja::Error>()) {
        error = inner;
    }
    error
}

fn place_of(set: &TemplateSet, error: &minijinja::Error) -> String {
    let error = innermost(error);
    let name = error.name().unwrap_or_default();
    let path = set.origins.get(name).map_or(name, Origin::path);
    format!("{path}:{}: {}", error.line().unwrap_or(1), what_it_is(error))
}
