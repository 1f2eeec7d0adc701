//! Phone numbers of accounts.

use std::str::FromStr;

use crate::text::single_line;

/// Digits, with an optional `+` in front. Separators are removed, so that a number is found however it is
/// written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone(String);

/// The text is not a phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a phone number of 3 to 20 digits, such as +44 20 7946 0018")]
pub struct InvalidPhone;

impl Phone {
    /// Such as `+442079460018`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text without separators between digits. `None` if it contains anything else.
pub(crate) fn compact(text: &str) -> Option<String> {
    let line = single_line(text);
    let kept: String = line.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.' | '/')).collect();
    let digits = kept.strip_prefix('+').unwrap_or(&kept);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(kept)
}

impl FromStr for Phone {
    type Err = InvalidPhone;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let compact = compact(text).ok_or(InvalidPhone)?;
        let digits = compact.trim_start_matches('+').len();
        if (3..=20).contains(&digits) { Ok(Self(compact)) } else { Err(InvalidPhone) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_as_digits_and_nonsense_is_refused() {
        assert_eq!("+44 (20) 7946-0018".parse::<Phone>().unwrap().as_str(), "+442079460018");
        assert_eq!("030/1234.56".parse::<Phone>().unwrap().as_str(), "030123456");
        assert_eq!("\u{202d}+44\u{a0}20\u{202c}".parse::<Phone>().unwrap().as_str(), "+4420");
        for wrong in ["", "12", "+", "++44", "44+20", "0800 FLOWERS", &"1".repeat(21)] {
            assert_eq!(wrong.parse::<Phone>(), Err(InvalidPhone), "{wrong}");
        }
    }
}
