//! The calculation, step by step.

use super::apportion::{apportion, narrow};
use super::discount::Discountable;
use super::tax::{TaxedAmount, tax};
use super::{
    Adjustment, AdjustmentKind, LineDiscount, LineInput, PriceInput, Priced, PricedLine, PricedShipping,
    PricedTax, PricingError, ShippingTax, TaxGroup, Taxable, Totals,
};
use crate::money::{line_total, total};

/// Computes the price of everything. A pure function; the [module](super) lists its steps.
pub fn price(input: &PriceInput) -> Result<Priced, PricingError> {
    let mut adjustments = Vec::new();
    let mut add = |kind, label: &str, amount_minor, included| {
        adjustments.push(Adjustment { kind, label: label.to_owned(), amount_minor, included });
    };

    let mut goods = Discountable::new(input.lines.iter().map(total_of_line).collect::<Result<_, _>>()?);
    let subtotal_minor = total(goods.left().iter().copied())?;
    for LineDiscount { lines, discount } in &input.line_discounts {
        if let Some(position) = lines.iter().copied().find(|position| *position >= input.lines.len()) {
            return Err(PricingError::UnknownLine { position });
        }
        let off_minor = goods.take_off(discount, |position| lines.contains(&position))?;
        add(AdjustmentKind::LineDiscount, &discount.label, -off_minor, false);
    }
    for discount in &input.order_discounts {
        let off_minor = goods.take_off(discount, |_| true)?;
        add(AdjustmentKind::OrderDiscount, &discount.label, -off_minor, false);
    }

    let mut shipping = Discountable::new(input.shipping.iter().map(|charge| charge.price_minor).collect());
    if shipping.left().iter().any(|price_minor| *price_minor < 0) {
        return Err(PricingError::Negative);
    }
    let shipping_minor = total(shipping.left().iter().copied())?;
    for charge in &input.shipping {
        add(AdjustmentKind::Shipping, &charge.label, charge.price_minor, false);
    }
    for discount in &input.shipping_discounts {
        let off_minor = shipping.take_off(discount, |_| true)?;
        add(AdjustmentKind::ShippingDiscount, &discount.label, -off_minor, false);
    }

    let taxes = tax(&taxed_amounts(input, goods.left(), shipping.left())?, input.tax_rounding)?;
    for PricedTax { group, tax_minor, .. } in &taxes {
        add(AdjustmentKind::Tax, &group.jurisdiction, *tax_minor, group.included);
    }

    let lines = priced_lines(&goods, &taxes);
    let shipping = priced_shipping(&shipping, &taxes);
    let totals = totals(subtotal_minor, shipping_minor, &lines, &shipping, &taxes)?;
    Ok(Priced { lines, shipping, adjustments, taxes, totals })
}

fn total_of_line(line: &LineInput) -> Result<i64, PricingError> {
    if line.unit_price_minor < 0 || line.quantity < 0 {
        return Err(PricingError::Negative);
    }
    Ok(line_total(line.unit_price_minor, line.quantity)?)
}

/// The amounts that are taxed, after discounts.
fn taxed_amounts<'a>(
    input: &'a PriceInput,
    goods: &[i64],
    shipping: &[i64],
) -> Result<Vec<TaxedAmount<'a>>, PricingError> {
    let mut amounts = Vec::new();
    let mut add = |of, group: Option<&'a TaxGroup>, amount_minor| {
        amounts.extend(group.map(|group| TaxedAmount { of, group, amount_minor }));
    };
    for (position, (line, left)) in input.lines.iter().zip(goods).enumerate() {
        add(Taxable::Line(position), line.tax.as_ref(), *left);
    }
    for (position, (charge, left)) in input.shipping.iter().zip(shipping).enumerate() {
        match &charge.tax {
            ShippingTax::Group(group) => add(Taxable::Shipping(position), group.as_ref(), *left),
            ShippingTax::AsGoods => {
                for (group, part) in divide_as_goods(&input.lines, goods, *left)? {
                    add(Taxable::Shipping(position), group, part);
                }
            }
        }
    }
    Ok(amounts)
}

/// Divides a charge over the tax groups of the goods (`None` is untaxed), in proportion to what remains of
/// them. If nothing remains in any group, the amounts before discounts are the weights. If all goods are
/// free, the weights are equal.
fn divide_as_goods<'a>(
    lines: &'a [LineInput],
    left: &[i64],
    amount_minor: i64,
) -> Result<Vec<(Option<&'a TaxGroup>, i64)>, PricingError> {
    let mut groups: Vec<Option<&TaxGroup>> = Vec::new();
    for line in lines {
        if !groups.contains(&line.tax.as_ref()) {
            groups.push(line.tax.as_ref());
        }
    }
    let weigh = |amounts: &[i64]| {
        let of_group = |group: &Option<&TaxGroup>| {
            total(
                lines
                    .iter()
                    .zip(amounts)
                    .filter(|(line, _)| line.tax.as_ref() == *group)
                    .map(|(_, weight)| *weight),
            )
        };
        groups.iter().map(of_group).collect::<Result<Vec<i64>, _>>()
    };
    let before = lines.iter().map(total_of_line).collect::<Result<Vec<_>, _>>()?;
    let mut weights = weigh(left)?;
    for fallback in [before, vec![1; lines.len()]] {
        if weights.iter().all(|weight| *weight == 0) {
            weights = weigh(&fallback)?;
        }
    }
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let parts = apportion(amount_minor, &weights)?;
    Ok(groups.into_iter().zip(parts).collect())
}

fn priced_lines(goods: &Discountable, taxes: &[PricedTax]) -> Vec<PricedLine> {
    let line = |(position, (total_minor, discount_minor))| {
        let tax_minor = tax_on(Taxable::Line(position), taxes);
        PricedLine { total_minor, discount_minor, tax_minor }
    };
    goods.with_discounts().enumerate().map(line).collect()
}

fn priced_shipping(shipping: &Discountable, taxes: &[PricedTax]) -> Vec<PricedShipping> {
    let charge = |(position, (price_minor, discount_minor))| {
        let tax_minor = tax_on(Taxable::Shipping(position), taxes);
        PricedShipping { price_minor, discount_minor, tax_minor }
    };
    shipping.with_discounts().enumerate().map(charge).collect()
}

/// The tax is at most the amount that it belongs to, so the sum cannot overflow.
fn tax_on(bearer: Taxable, taxes: &[PricedTax]) -> i64 {
    let shares = taxes.iter().flat_map(|tax| &tax.shares);
    shares.filter(|share| share.of == bearer).map(|share| share.tax_minor).sum()
}

fn totals(
    subtotal_minor: i64,
    shipping_minor: i64,
    lines: &[PricedLine],
    shipping: &[PricedShipping],
    taxes: &[PricedTax],
) -> Result<Totals, PricingError> {
    let line_discounts = lines.iter().map(|line| line.discount_minor);
    let discount_minor = total(line_discounts.chain(shipping.iter().map(|charge| charge.discount_minor)))?;
    let tax_minor = total(taxes.iter().map(|tax| tax.tax_minor))?;
    let included = taxes.iter().filter(|tax| tax.group.included);
    let tax_included_minor = total(included.map(|tax| tax.tax_minor))?;
    let total_minor = i128::from(subtotal_minor) - i128::from(discount_minor)
        + i128::from(shipping_minor)
        + i128::from(tax_minor)
        - i128::from(tax_included_minor);
    let total_minor = narrow(total_minor)?;
    Ok(Totals { subtotal_minor, discount_minor, shipping_minor, tax_minor, tax_included_minor, total_minor })
}
