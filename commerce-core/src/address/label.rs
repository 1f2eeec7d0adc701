//! The lines of an address, in the order of its country.

use super::country::Country;
use super::fields::AddressFields;
use crate::text::single_line;

/// The lines for a parcel or a mail. Lines and signs of empty fields are left out. What the country's own
/// order has no place for, such as the town in Japan, stands beside the street.
pub fn lines(address: &AddressFields) -> Vec<String> {
    let country = Country::find(&address.country);
    let format = country.and_then(|country| match country.latin_format {
        Some(latin) if is_latin(address) => Some(latin),
        _ => country.format,
    });
    let format = format.unwrap_or("%N%n%A%n%Z %C %S");
    let rows: Vec<Vec<Part>> = format.split("%n").map(parts).collect();
    let has = |field: char| rows.iter().flatten().any(|part| *part == Part::Field(field));
    let text = |field: char| text_of(address, field);
    let is_named = |field: char| !text(field).is_empty() && !has(field);
    let is_written = |text: &str| {
        rows.iter().flatten().any(|part| match part {
            Part::Sign(sign) => sign.trim().to_lowercase() == text.to_lowercase(),
            Part::Field(_) => false,
        })
    };
    let extra: Vec<Vec<Part>> = ['C', 'S', 'Z']
        .into_iter()
        .filter(|field| is_named(*field) && !is_written(&text(*field)))
        .map(|field| vec![Part::Field(field)])
        .collect();
    let place = |field: char| rows.iter().position(|row| row.contains(&Part::Field(field)));
    let (street, name) = (place('A').unwrap_or(rows.len()), place('N').unwrap_or(0));
    // Where the name comes first, an address goes from the street to the country, elsewhere the other way.
    let at = if name < street { street + 1 } else { street };
    let (before, after) = rows.split_at_checked(at).unwrap_or((&rows, &[]));
    let mut lines = Vec::new();
    for row in before.iter().chain(&extra).chain(after) {
        if row.as_slice() == [Part::Field('A')] {
            let line2 = address.line2.as_deref().unwrap_or_default();
            lines.extend([single_line(&address.line1), single_line(line2)]);
        } else {
            lines.push(line(row, text));
        }
    }
    lines.push(single_line(&address.country));
    lines.retain(|line| !line.is_empty());
    lines
}

/// A part of a line of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A field, by the letter of the format.
    Field(char),
    Sign(String),
}

fn parts(line: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (c, parts.last_mut()) {
            ('%', _) => parts.extend(rest.next().map(Part::Field)),
            (c, Some(Part::Sign(sign))) => sign.push(c),
            (c, _) => parts.push(Part::Sign(c.into())),
        }
    }
    parts
}

fn text_of(address: &AddressFields, field: char) -> String {
    let line2 = address.line2.as_deref().unwrap_or_default();
    let text = match field {
        'N' => &address.name,
        'A' => return single_line(&format!("{} {line2}", address.line1)),
        'C' => address.city.as_deref().unwrap_or_default(),
        'S' => address.region.as_deref().unwrap_or_default(),
        'Z' => address.postal_code.as_deref().unwrap_or_default(),
        // Companies, districts and sorting codes are not fields of an address here.
        _ => "",
    };
    single_line(text)
}

/// A line of a label. Of the signs between two filled fields, the last one is written.
fn line(row: &[Part], text: impl Fn(char) -> String) -> String {
    let mut line = String::new();
    let mut sign = "";
    for (at, part) in row.iter().enumerate() {
        match part {
            Part::Sign(found) => sign = found,
            Part::Field(field) => {
                let text = text(*field);
                let is_prefix = at == 1;
                if text.is_empty() {
                    sign = if is_prefix { "" } else { sign };
                    continue;
                }
                if is_prefix || !line.is_empty() {
                    line.push_str(sign);
                }
                // A prefix such as `CH-` may have been typed.
                let typed = text.strip_prefix(sign.trim()).filter(|_| is_prefix && *field == 'Z');
                line.push_str(typed.unwrap_or(&text).trim_start());
                sign = "";
            }
        }
    }
    let ends_with_sign = matches!(row.last(), Some(Part::Sign(_)));
    if ends_with_sign && (row.len() == 1 || !line.is_empty()) {
        line.push_str(sign);
    }
    line.trim().to_owned()
}

/// Whether a person who reads Latin letters only can read the address.
fn is_latin(address: &AddressFields) -> bool {
    let fields = ['N', 'A', 'C', 'S'].map(|field| text_of(address, field));
    fields.iter().flat_map(|text| text.chars()).all(|c| !c.is_alphabetic() || c < '\u{250}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(country: &str, fields: [&str; 5]) -> AddressFields {
        let [name, line1, city, region, postal_code] = fields.map(str::to_owned);
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        AddressFields {
            name,
            line1,
            city: some(city),
            region: some(region),
            postal_code: some(postal_code),
            country: country.to_owned(),
            ..AddressFields::default()
        }
    }

    #[test]
    fn each_country_has_its_own_order() {
        let cases: [(&str, [&str; 5], &[&str]); 14] = [
            (
                "GB",
                ["Anna", "1 High St", "Ely", "", "CB7 4AA"],
                &["Anna", "1 High St", "Ely", "CB7 4AA", "GB"],
            ),
            (
                "DE",
                ["Anna", "Am Markt 1", "Mainz", "", "55116"],
                &["Anna", "Am Markt 1", "55116 Mainz", "DE"],
            ),
            ("CH", ["A", "B 1", "Bern", "", "CH-3011"], &["A", "B 1", "CH-3011 Bern", "CH"]),
            ("CH", ["A", "B 1", "Bern", "", "3011"], &["A", "B 1", "CH-3011 Bern", "CH"]),
            ("US", ["A", "1 Elm St", "Reno", "NV", "89501"], &["A", "1 Elm St", "Reno, NV 89501", "US"]),
            ("HK", ["Wei", "88 Nathan Rd", "Kowloon", "", ""], &["Wei", "88 Nathan Rd", "Kowloon", "HK"]),
            ("AE", ["A", "1 Corniche", "Dubai", "", ""], &["A", "1 Corniche", "Dubai", "AE"]),
            (
                "SG",
                ["A", "1 Orchard Rd", "Singapore", "", "238801"],
                &["A", "1 Orchard Rd", "SINGAPORE 238801", "SG"],
            ),
            (
                "JP",
                ["Anna", "1-2-3 Ginza", "Chuo-ku", "Tokyo", "104-0061"],
                &["Anna", "1-2-3 Ginza, Tokyo", "Chuo-ku", "104-0061", "JP"],
            ),
            (
                "JP",
                ["杏奈", "銀座1-2-3", "中央区", "東京都", "104-0061"],
                &["〒104-0061", "東京都", "中央区", "銀座1-2-3", "杏奈", "JP"],
            ),
            ("AW", ["A", "Main St 1", "Oranjestad", "", ""], &["A", "Main St 1", "Oranjestad", "AW"]),
            (
                "JE",
                ["A", "1 Bath St", "St Helier", "", "JE1 1AA"],
                &["A", "1 Bath St", "St Helier", "JERSEY", "JE1 1AA", "JE"],
            ),
            (
                "XK",
                ["A", "Rruga B 1", "Prishtina", "", "10000"],
                &["A", "Rruga B 1", "10000 Prishtina", "XK"],
            ),
            // Stored under other rules.
            ("UK", ["A\r\nB: ", "1", "L", "R", "1"], &["A B:", "1", "1 L R", "UK"]),
        ];
        for (country, fields, expected) in cases {
            assert_eq!(lines(&address(country, fields)), expected, "{country}");
        }
    }
}
