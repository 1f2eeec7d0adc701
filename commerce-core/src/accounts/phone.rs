//! Telephone numbers as accounts keep them.

use std::str::FromStr;

/// Digits, perhaps after a `+`: what people write between them is left out, so that a number is found however it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone(String);

/// The text is not a telephone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a phone number of 3 to 20 digits, such as +44 20 7946 0018")]
pub struct InvalidPhone;

impl Phone {
    /// Such as `+442079460018`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text without what stands between digits; `None` if there is anything else in it.
pub(super) fn compact(text: &str) -> Option<String> {
    let kept: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.' | '/')).collect();
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
        for wrong in ["", "12", "+", "++44", "44+20", "0800 FLOWERS", &"1".repeat(21)] {
            assert_eq!(wrong.parse::<Phone>(), Err(InvalidPhone), "{wrong}");
        }
    }
}
