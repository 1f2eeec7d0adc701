//! Tax, for each group, on what discounts have left of lines and shipping.
//!
//! European Norm 16931 computes VAT in the same way (rule BR-CO-17): for each category and rate, the tax is
//! the taxable amount times the rate, rounded once. If prices include the tax, the tax is rounded and the
//! taxable amount is the rest. The two ways differ by at most one minor unit.

use super::apportion::{apportion, narrow};
use super::{PricedTax, PricingError, Rate, TaxGroup, TaxRounding, TaxShare, TaxTreatment, Taxable};
use crate::money::total;

/// An amount that is taxed.
pub(super) struct TaxedAmount<'a> {
    pub(super) of: Taxable,
    pub(super) group: &'a TaxGroup,
    pub(super) amount_minor: i64,
}

/// The tax of every group, in the order in which the amounts refer to the groups.
pub(super) fn tax(
    amounts: &[TaxedAmount<'_>],
    rounding: TaxRounding,
) -> Result<Vec<PricedTax>, PricingError> {
    let mut groups: Vec<&TaxGroup> = Vec::new();
    for amount in amounts {
        if !groups.contains(&amount.group) {
            groups.push(amount.group);
        }
    }
    let of_group = |group: &TaxGroup| {
        let own: Vec<_> = amounts.iter().filter(|amount| amount.group == group).collect();
        tax_group(group, &own, rounding)
    };
    groups.into_iter().map(of_group).collect()
}

fn tax_group(
    group: &TaxGroup,
    amounts: &[&TaxedAmount<'_>],
    rounding: TaxRounding,
) -> Result<PricedTax, PricingError> {
    if group.treatment != TaxTreatment::Standard && group.rate != Rate::NOTHING {
        return Err(PricingError::RateOfTreatment { treatment: group.treatment });
    }
    let weights: Vec<i64> = amounts.iter().map(|amount| amount.amount_minor).collect();
    let sum_minor = total(weights.iter().copied())?;
    let taxes = match rounding {
        TaxRounding::Order => apportion(group.tax_of(sum_minor)?, &weights)?,
        TaxRounding::Line => weights.iter().map(|weight| group.tax_of(*weight)).collect::<Result<_, _>>()?,
    };
    let taxable_minor =
        |amount_minor, tax_minor| if group.included { amount_minor - tax_minor } else { amount_minor };
    let tax_minor = total(taxes.iter().copied())?;
    let share = |(amount, tax_minor): (&&TaxedAmount<'_>, i64)| TaxShare {
        of: amount.of,
        taxable_minor: taxable_minor(amount.amount_minor, tax_minor),
        tax_minor,
    };
    Ok(PricedTax {
        group: group.clone(),
        taxable_minor: taxable_minor(sum_minor, tax_minor),
        tax_minor,
        shares: amounts.iter().zip(taxes).map(share).collect(),
    })
}

impl TaxGroup {
    /// The tax on an amount, or the tax that the amount includes.
    fn tax_of(&self, amount_minor: i64) -> Result<i64, PricingError> {
        narrow(if self.included { self.rate.included_in(amount_minor) } else { self.rate.of(amount_minor) })
    }
}
