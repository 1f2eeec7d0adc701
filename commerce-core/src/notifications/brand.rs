//! How the shop looks in its mails: the file `brand.toml`.

use serde::{Deserialize, Serialize};

/// The file `brand.toml`. What it leaves out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Brand {
    name: Option<String>,
    logo: Option<String>,
    address: Option<Vec<String>>,
    footer: Option<String>,
    #[serde(default)]
    colours: SomeColours,
    #[serde(default)]
    dark_colours: SomeColours,
}

macro_rules! colours {
    ($($(#[$meta:meta])* $name:ident: $light:literal, $dark:literal;)+) => {
        /// The colours of a mail.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        struct Colours { $($(#[$meta])* $name: String),+ }

        /// The colours that a shop chooses itself.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct SomeColours { $($name: Option<String>),+ }

        impl Colours {
            fn light() -> Self {
                Self { $($name: $light.to_owned()),+ }
            }

            fn dark() -> Self {
                Self { $($name: $dark.to_owned()),+ }
            }

            fn but(self, chosen: &SomeColours) -> Self {
                Self { $($name: chosen.$name.clone().unwrap_or(self.$name)),+ }
            }
        }

        impl SomeColours {
            fn or(self, other: &Self) -> Self {
                Self { $($name: self.$name.or_else(|| other.$name.clone())),+ }
            }

            fn named(&self) -> Vec<(&'static str, &str)> {
                let all = [$((stringify!($name), self.$name.as_deref())),+];
                all.into_iter().filter_map(|(name, colour)| Some((name, colour?))).collect()
            }
        }
    };
}

colours! {
    /// Around the sheet.
    background: "#f5f5f4", "#0c0a09";
    /// The sheet with the text.
    surface: "#ffffff", "#1c1917";
    text: "#1c1917", "#f5f5f4";
    /// Small print.
    muted: "#6b645e", "#a8a29e";
    /// Between the lines of an order.
    line: "#e7e5e4", "#44403c";
    /// Behind a code.
    panel: "#f5f5f4", "#292524";
    /// Buttons and links.
    accent: "#1c1917", "#f5f5f4";
    /// The text of buttons.
    accent_text: "#ffffff", "#1c1917";
}

/// The shop, as templates see it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ShopFacts {
    name: String,
    url: Option<String>,
    logo: Option<String>,
    address: Vec<String>,
    footer: Option<String>,
    colours: Colours,
    dark_colours: Colours,
}

impl Brand {
    /// Reads `brand.toml`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let brand: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        // It is loaded by mail programs, most of which load nothing over plain HTTP.
        if brand.logo.as_ref().is_some_and(|logo| !logo.starts_with("https://")) {
            return Err("logo: must be the address of a picture that begins with https://".to_owned());
        }
        let chosen = [("colours", &brand.colours), ("dark_colours", &brand.dark_colours)];
        for (table, colours) in chosen {
            if let Some((name, colour)) = colours.named().into_iter().find(|(_, colour)| !is_colour(colour)) {
                return Err(format!("{table}.{name}: {colour:?} is not a colour such as #1c1917"));
            }
        }
        Ok(brand)
    }

    /// This brand, and where it says nothing, the other one.
    pub fn or(self, other: &Self) -> Self {
        Self {
            name: self.name.or_else(|| other.name.clone()),
            logo: self.logo.or_else(|| other.logo.clone()),
            address: self.address.or_else(|| other.address.clone()),
            footer: self.footer.or_else(|| other.footer.clone()),
            colours: self.colours.or(&other.colours),
            dark_colours: self.dark_colours.or(&other.dark_colours),
        }
    }

    /// The shop with this brand. `name` is what it is called if the brand has no name.
    pub fn shop(&self, name: &str, url: Option<&str>) -> ShopFacts {
        ShopFacts {
            name: self.name.clone().unwrap_or_else(|| name.to_owned()),
            url: url.map(str::to_owned),
            logo: self.logo.clone(),
            address: self.address.clone().unwrap_or_default(),
            footer: self.footer.clone(),
            colours: Colours::light().but(&self.colours),
            dark_colours: Colours::dark().but(&self.dark_colours),
        }
    }
}

fn is_colour(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brand_says_only_what_differs() {
        let all =
            Brand::parse("name = \"Tea\"\nfooter = \"Est. 1901\"\n[colours]\naccent = \"#a00\"").unwrap();
        let german = Brand::parse("footer = \"Seit 1901\"").unwrap();
        let shop = german.or(&all).shop("Corner Shop", None);
        assert_eq!((shop.name.as_str(), shop.footer.as_deref()), ("Tea", Some("Seit 1901")));
        assert_eq!((shop.colours.accent.as_str(), shop.dark_colours.accent.as_str()), ("#a00", "#f5f5f4"));
        assert_eq!(Brand::default().shop("Corner Shop", None).name, "Corner Shop");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, says) in [
            ("nam = \"Tea\"", "unknown field `nam`"),
            ("logo = \"http://shop.example/logo.png\"", "logo: must be"),
            ("[colours]\naccent = \"red;} body{\"", "colours.accent: \"red;} body{\" is not a colour"),
            ("[dark_colours]\ntext = \"#12345\"", "dark_colours.text"),
            ("name =", "line 1"),
        ] {
            let error = Brand::parse(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
