//! Properties of every price, tested with random inputs. A failure prints the input.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::rate::half_up;
use super::*;

const CASES: usize = 4_000;

/// Mostly small amounts, for which rounding matters, and some that are as large as possible.
struct Inputs(StdRng);

impl Inputs {
    fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    fn amount(&mut self) -> i64 {
        let largest = [0, 9, 9_999, 10_000_000, 1 << 50][self.below(5)];
        self.0.random_range(0..=largest)
    }

    fn rate(&mut self) -> Rate {
        let ppm = [0, 70_000, 107_500, 190_000, 333_333, 1_000_000][self.below(6)];
        Rate::from_ppm(ppm).unwrap()
    }

    fn group(&mut self) -> TaxGroup {
        let jurisdiction = ["DE", "US-NY"][self.below(2)].to_owned();
        let included = self.below(2) == 0;
        TaxGroup { jurisdiction, treatment: TaxTreatment::Standard, rate: self.rate(), included }
    }

    fn tax(&mut self) -> Option<TaxGroup> {
        (self.below(4) > 0).then(|| self.group())
    }

    fn discount(&mut self) -> Discount {
        let value = match self.below(2) {
            0 => DiscountValue::Percentage(self.rate()),
            _ => DiscountValue::Amount(self.amount()),
        };
        let max_minor = (self.below(4) == 0).then(|| self.amount());
        Discount { label: String::new(), value, max_minor }
    }

    fn discounts(&mut self) -> Vec<Discount> {
        (0..self.below(3)).map(|_| self.discount()).collect()
    }

    fn shipping(&mut self) -> ShippingInput {
        let tax = match self.below(2) {
            0 => ShippingTax::AsGoods,
            _ => ShippingTax::Group(self.tax()),
        };
        ShippingInput { label: String::new(), price_minor: self.amount(), tax }
    }

    fn input(&mut self) -> PriceInput {
        let line = |own: &mut Self| LineInput {
            unit_price_minor: own.amount(),
            quantity: own.0.random_range(0..20),
            tax: own.tax(),
        };
        let lines: Vec<_> = (0..self.below(8)).map(|_| line(self)).collect();
        let line_discount = |own: &mut Self| LineDiscount {
            lines: (0..lines.len()).filter(|_| own.below(2) == 0).collect(),
            discount: own.discount(),
        };
        PriceInput {
            line_discounts: (0..self.below(3)).map(|_| line_discount(self)).collect(),
            order_discounts: self.discounts(),
            shipping: (0..self.below(3)).map(|_| self.shipping()).collect(),
            shipping_discounts: self.discounts(),
            tax_rounding: [TaxRounding::Order, TaxRounding::Line][self.below(2)],
            lines,
        }
    }
}

fn for_every_price(seed: u64, holds: impl Fn(&PriceInput, &Priced)) {
    let mut inputs = Inputs(StdRng::seed_from_u64(seed));
    for _ in 0..CASES {
        let input = inputs.input();
        let priced = price(&input).unwrap_or_else(|error| panic!("{error}: {input:?}"));
        holds(&input, &priced);
    }
}

#[test]
fn the_total_is_what_its_parts_say() {
    for_every_price(11, |input, priced| {
        let totals = priced.totals;
        let identity =
            totals.subtotal_minor - totals.discount_minor + totals.shipping_minor + totals.tax_minor
                - totals.tax_included_minor;
        assert_eq!(totals.total_minor, identity, "{input:?}");
        let steps = priced.adjustments.iter().filter(|step| !step.included).map(|step| step.amount_minor);
        assert_eq!(totals.total_minor, totals.subtotal_minor + steps.sum::<i64>(), "{input:?}");
    });
}

#[test]
fn nothing_is_negative_and_no_discount_exceeds_what_it_is_taken_off() {
    for_every_price(12, |input, priced| {
        let Totals {
            subtotal_minor,
            discount_minor,
            shipping_minor,
            tax_minor,
            tax_included_minor,
            total_minor,
        } = priced.totals;
        for amount in [subtotal_minor, discount_minor, shipping_minor, tax_included_minor, total_minor] {
            assert!(amount >= 0, "{input:?}");
        }
        assert!(discount_minor <= subtotal_minor + shipping_minor, "{input:?}");
        assert!(tax_included_minor <= tax_minor, "{input:?}");
        for line in &priced.lines {
            assert!((0..=line.total_minor).contains(&line.discount_minor), "{input:?}");
            assert!((0..=line.total_minor - line.discount_minor).contains(&line.tax_minor), "{input:?}");
        }
        for charge in &priced.shipping {
            assert!((0..=charge.price_minor).contains(&charge.discount_minor), "{input:?}");
            assert!(
                (0..=charge.price_minor - charge.discount_minor).contains(&charge.tax_minor),
                "{input:?}"
            );
        }
    });
}

#[test]
fn shares_add_up_to_the_sums() {
    for_every_price(13, |input, priced| {
        let (lines, shipping) = (priced.lines.iter(), priced.shipping.iter());
        let discounts =
            lines.clone().map(|line| line.discount_minor).chain(shipping.clone().map(|it| it.discount_minor));
        assert_eq!(discounts.sum::<i64>(), priced.totals.discount_minor, "{input:?}");
        let taxes = lines.clone().map(|line| line.tax_minor).chain(shipping.map(|it| it.tax_minor));
        assert_eq!(taxes.sum::<i64>(), priced.totals.tax_minor, "{input:?}");
        assert_eq!(
            lines.map(|line| line.total_minor).sum::<i64>(),
            priced.totals.subtotal_minor,
            "{input:?}"
        );
        for tax in &priced.taxes {
            let shares = tax.shares.iter();
            assert_eq!(shares.clone().map(|share| share.tax_minor).sum::<i64>(), tax.tax_minor, "{input:?}");
            assert_eq!(shares.map(|share| share.taxable_minor).sum::<i64>(), tax.taxable_minor, "{input:?}");
        }
    });
}

/// EN 16931, BR-CO-17: the tax of a rate is the taxable amount times the rate, rounded.
#[test]
fn the_tax_of_a_group_is_its_taxable_amount_times_its_rate() {
    for_every_price(14, |input, priced| {
        if input.tax_rounding == TaxRounding::Line {
            return;
        }
        for tax in &priced.taxes {
            let ppm = i128::from(tax.group.rate.ppm());
            let expected = half_up(i128::from(tax.taxable_minor) * ppm, 1_000_000);
            let off = (i128::from(tax.tax_minor) - expected).abs();
            assert!(off <= i128::from(tax.group.included), "{off} off: {input:?}");
        }
    });
}

#[test]
fn the_same_input_has_the_same_price() {
    for_every_price(15, |input, priced| assert_eq!(price(&input.clone()).as_ref(), Ok(priced)));
}

/// Amounts of any size and sign: a price or an error, never a panic.
#[test]
fn an_amount_that_is_too_large_is_an_error() {
    let mut inputs = Inputs(StdRng::seed_from_u64(16));
    let extreme = |inputs: &mut Inputs| {
        let edge = [0, 1, i64::MAX / 2, i64::MAX - 1, i64::MAX, -1, i64::MIN][inputs.below(7)];
        if inputs.below(2) == 0 { edge } else { inputs.amount() }
    };
    let mut refused = 0;
    for _ in 0..CASES {
        let mut input = inputs.input();
        for line in &mut input.lines {
            (line.unit_price_minor, line.quantity) = (extreme(&mut inputs), extreme(&mut inputs));
        }
        for charge in &mut input.shipping {
            charge.price_minor = extreme(&mut inputs);
        }
        for discount in &mut input.order_discounts {
            discount.max_minor = Some(extreme(&mut inputs));
        }
        refused += usize::from(price(&input).is_err());
    }
    assert!((CASES / 4..CASES).contains(&refused), "{refused} of {CASES} refused");
}
