//! Amounts as Stripe writes them: mostly in the minor units of ISO 4217, with the exceptions of
//! <https://docs.stripe.com/currencies#special-cases>.

use crate::money::{Currency, Money};

/// An amount that Stripe cannot take or that we cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AmountError {
    #[error("Stripe takes {currency} only in steps of {step} minor units, not {amount_minor}")]
    TooFine { amount_minor: i64, currency: Currency, step: i64 },
    #[error("the amount {0} is too large")]
    TooLarge(i64),
    #[error("{0:?} is no currency that the shop knows")]
    UnknownCurrency(String),
}

/// How Stripe's unit relates to ours.
struct Scale {
    /// Stripe's units for one of ours.
    times: i64,
    /// Our units for one of Stripe's.
    per: i64,
    /// Our amounts must be multiples of it.
    step: i64,
}

impl Scale {
    fn of(currency: Currency) -> Self {
        match (currency.code(), currency.exponent()) {
            // They have no minor unit any more, but Stripe still counts in hundredths, which must be 00: 5 UGX are 500,
            // although UGX is also in its list of currencies without decimals. HUF and TWD are without decimals in
            // payouts only. <https://docs.stripe.com/currencies#special-cases>, and for ISK
            // <https://support.stripe.com/questions/deprecation-of-fractional-isk-charges-and-refunds>.
            ("ISK" | "UGX", 0) => Self { times: 100, per: 1, step: 1 },
            // For Stripe it has no minor unit; for ISO 4217 it has two places.
            ("MGA", 2) => Self { times: 1, per: 100, step: 100 },
            // The last of three places must be 0.
            (_, 3) => Self { times: 1, per: 1, step: 10 },
            _ => Self { times: 1, per: 1, step: 1 },
        }
    }
}

/// The amount in Stripe's units.
pub(super) fn to_stripe(money: Money) -> Result<i64, AmountError> {
    let Money { amount_minor, currency } = money;
    let Scale { times, per, step } = Scale::of(currency);
    if amount_minor % step != 0 {
        return Err(AmountError::TooFine { amount_minor, currency, step });
    }
    (amount_minor / per).checked_mul(times).ok_or(AmountError::TooLarge(amount_minor))
}

/// Stripe's name of the currency: the code of ISO 4217 in lower case.
pub(super) fn currency_name(currency: Currency) -> String {
    currency.code().to_ascii_lowercase()
}

/// An amount that Stripe reports.
pub(super) fn from_stripe(amount: i64, currency: &str) -> Result<Money, AmountError> {
    let unknown = || AmountError::UnknownCurrency(currency.to_owned());
    let currency: Currency = currency.to_ascii_uppercase().parse().map_err(|_| unknown())?;
    let Scale { times, per, .. } = Scale::of(currency);
    if amount % times != 0 {
        return Err(AmountError::TooFine { amount_minor: amount, currency, step: times });
    }
    let amount_minor = (amount / times).checked_mul(per).ok_or(AmountError::TooLarge(amount))?;
    Ok(Money::new(amount_minor, currency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_in_stripes_units_and_back() {
        let cases = [
            ("USD", 1099, 1099),
            ("JPY", 500, 500),
            ("KRW", 500, 500),
            ("ISK", 5, 500),
            ("UGX", 5, 500),
            ("MGA", 500, 5),
            ("KWD", 5120, 5120),
            ("HUF", 1045, 1045),
            ("TWD", 80045, 80045),
        ];
        for (code, ours, theirs) in cases {
            let money = Money::new(ours, code.parse().unwrap());
            assert_eq!(to_stripe(money), Ok(theirs), "{code}");
            assert_eq!(from_stripe(theirs, &code.to_lowercase()), Ok(money), "{code}");
        }
    }

    #[test]
    fn what_stripe_cannot_take_is_refused_and_not_rounded() {
        for (code, amount_minor) in [("KWD", 5124), ("MGA", 550), ("BHD", 1)] {
            let money = Money::new(amount_minor, code.parse().unwrap());
            assert!(matches!(to_stripe(money), Err(AmountError::TooFine { .. })), "{code}");
        }
        assert!(matches!(
            to_stripe(Money::new(i64::MAX, "ISK".parse().unwrap())),
            Err(AmountError::TooLarge(_))
        ));
        assert!(matches!(from_stripe(1, "xau"), Err(AmountError::UnknownCurrency(_))));
    }
}
