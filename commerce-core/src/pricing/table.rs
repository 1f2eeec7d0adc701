//! Orders that other shop software computed wrongly, each with its correct price.

use super::*;

fn rate(ppm: u32) -> Rate {
    Rate::from_ppm(ppm).unwrap()
}

fn group(ppm: u32, included: bool) -> TaxGroup {
    TaxGroup { jurisdiction: "DE".to_owned(), treatment: TaxTreatment::Standard, rate: rate(ppm), included }
}

fn excluded(ppm: u32) -> Option<TaxGroup> {
    Some(group(ppm, false))
}

fn included(ppm: u32) -> Option<TaxGroup> {
    Some(group(ppm, true))
}

fn line(unit_price_minor: i64, quantity: i64, tax: Option<TaxGroup>) -> LineInput {
    LineInput { unit_price_minor, quantity, tax }
}

fn shipping(price_minor: i64, tax: ShippingTax) -> ShippingInput {
    ShippingInput { label: "Parcel".to_owned(), price_minor, tax }
}

fn off(value: DiscountValue) -> Discount {
    Discount { label: "Sale".to_owned(), value, max_minor: None }
}

fn percent(percent: u32) -> Discount {
    off(DiscountValue::Percentage(rate(percent * 10_000)))
}

fn totals(input: &PriceInput) -> Totals {
    price(input).unwrap().totals
}

#[test]
fn goods_with_a_rate_of_two_decimals_and_untaxed_shipping() {
    let input = PriceInput {
        shipping: vec![shipping(644, ShippingTax::Group(None))],
        ..PriceInput::of_goods(vec![line(2499, 1, excluded(107_500))])
    };
    let totals = totals(&input);
    assert_eq!((totals.tax_minor, totals.total_minor), (269, 3412));
}

#[test]
fn tax_that_is_within_the_price() {
    let totals = totals(&PriceInput::of_goods(vec![line(1600, 1, included(190_000))]));
    assert_eq!((totals.tax_minor, totals.tax_included_minor, totals.total_minor), (255, 255, 1600));
}

#[test]
fn rounding_per_order_and_per_line() {
    let of_order = PriceInput::of_goods(vec![line(850, 1, included(70_000)), line(165, 1, included(70_000))]);
    assert_eq!(totals(&of_order).tax_minor, 66);
    let of_lines = PriceInput { tax_rounding: TaxRounding::Line, ..of_order };
    assert_eq!(totals(&of_lines).tax_minor, 67);
}

#[test]
fn tax_of_half_the_price() {
    let input = PriceInput {
        order_discounts: vec![percent(50)],
        ..PriceInput::of_goods(vec![line(600_000, 1, included(250_000))])
    };
    assert_eq!(totals(&input).tax_minor, 60_000);
}

#[test]
fn a_discount_lowers_the_tax_within_the_price() {
    let input = PriceInput {
        order_discounts: vec![off(DiscountValue::Amount(1000))],
        ..PriceInput::of_goods(vec![line(5000, 1, included(100_000))])
    };
    let totals = totals(&input);
    assert_eq!((totals.total_minor, totals.tax_minor), (4000, 364));
}

#[test]
fn two_units_are_taxed_together() {
    assert_eq!(totals(&PriceInput::of_goods(vec![line(1070, 2, excluded(210_000))])).total_minor, 2589);
    let apart = vec![line(1070, 1, excluded(210_000)), line(1070, 1, excluded(210_000))];
    assert_eq!(totals(&PriceInput::of_goods(apart)).total_minor, 2589);
}

#[test]
fn ten_units_are_taxed_together() {
    assert_eq!(totals(&PriceInput::of_goods(vec![line(1428, 10, excluded(190_000))])).total_minor, 16_993);
    let apart = vec![line(1428, 1, excluded(190_000)); 10];
    assert_eq!(totals(&PriceInput::of_goods(apart)).total_minor, 16_993);
}

#[test]
fn ten_units_with_tax_within_the_price() {
    let priced = price(&PriceInput::of_goods(vec![line(3823, 10, included(200_000))])).unwrap();
    assert_eq!((priced.totals.tax_minor, priced.taxes[0].taxable_minor), (6372, 31_858));
}

#[test]
fn everything_off_leaves_exactly_nothing() {
    for lines in [
        vec![line(1, 1, included(190_000))],
        vec![line(333, 3, excluded(107_500)), line(7, 1, None), line(0, 5, included(70_000))],
        vec![line(i64::MAX / 8, 7, excluded(1_000_000))],
    ] {
        let input = PriceInput {
            order_discounts: vec![percent(100)],
            shipping: vec![shipping(499, ShippingTax::AsGoods), shipping(0, ShippingTax::Group(None))],
            shipping_discounts: vec![percent(100)],
            ..PriceInput::of_goods(lines)
        };
        let totals = totals(&input);
        assert_eq!((totals.total_minor, totals.tax_minor, totals.tax_included_minor), (0, 0, 0), "{input:?}");
    }
}

#[test]
fn goods_alone_cost_what_their_lines_cost() {
    let priced = price(&PriceInput::of_goods(vec![LineInput::untaxed(6000, 2), LineInput::untaxed(5000, 1)]));
    let priced = priced.unwrap();
    let sums = Totals { subtotal_minor: 17_000, total_minor: 17_000, ..Totals::default() };
    assert_eq!(priced.totals, sums);
    assert_eq!(priced.lines[0], PricedLine { total_minor: 12_000, discount_minor: 0, tax_minor: 0 });
    assert_eq!((priced.adjustments, priced.taxes), (vec![], vec![]));
    assert_eq!(totals(&PriceInput::default()), Totals::default());
}

/// All steps at once: two line discounts, one order discount, free shipping, two tax groups.
#[test]
fn the_steps_come_in_their_order() {
    let input = PriceInput {
        lines: vec![line(1000, 2, excluded(200_000)), line(500, 1, included(70_000)), line(300, 1, None)],
        line_discounts: vec![LineDiscount { lines: [0, 1].into(), discount: percent(10) }],
        order_discounts: vec![off(DiscountValue::Amount(255))],
        shipping: vec![shipping(600, ShippingTax::Group(excluded(200_000)))],
        shipping_discounts: vec![percent(50)],
        tax_rounding: TaxRounding::Order,
    };
    let priced = price(&input).unwrap();
    let discounts: Vec<i64> = priced.lines.iter().map(|line| line.discount_minor).collect();
    // 250 off 2000 and 500, and then 255 off 1800, 450 and 300, which is a tenth of each.
    assert_eq!(discounts, [200 + 180, 50 + 45, 30]);
    let steps: Vec<_> =
        priced.adjustments.iter().map(|step| (step.kind, step.amount_minor, step.included)).collect();
    assert_eq!(
        steps,
        [
            (AdjustmentKind::LineDiscount, -250, false),
            (AdjustmentKind::OrderDiscount, -255, false),
            (AdjustmentKind::Shipping, 600, false),
            (AdjustmentKind::ShippingDiscount, -300, false),
            // A fifth of 1620 and 300 together.
            (AdjustmentKind::Tax, 384, false),
            // 7/107 of 405.
            (AdjustmentKind::Tax, 26, true),
        ]
    );
    let totals = Totals {
        subtotal_minor: 2800,
        discount_minor: 250 + 255 + 300,
        shipping_minor: 600,
        tax_minor: 384 + 26,
        tax_included_minor: 26,
        total_minor: 2800 - 805 + 600 + 384,
    };
    assert_eq!(priced.totals, totals);
    let shares: Vec<_> = priced.taxes[0].shares.iter().map(|share| (share.of, share.tax_minor)).collect();
    assert_eq!(shares, [(Taxable::Line(0), 324), (Taxable::Shipping(0), 60)]);
}

#[test]
fn shipping_that_is_taxed_as_the_goods_are() {
    let input = PriceInput {
        shipping: vec![shipping(100, ShippingTax::AsGoods)],
        ..PriceInput::of_goods(vec![line(300, 1, included(190_000)), line(100, 1, included(70_000))])
    };
    let parts: Vec<_> =
        price(&input).unwrap().taxes.iter().map(|tax| tax.taxable_minor + tax.tax_minor).collect();
    assert_eq!(parts, [375, 125]);

    // Free goods still determine how their delivery is taxed.
    let free = PriceInput { order_discounts: vec![percent(100)], ..input };
    let parts: Vec<_> =
        price(&free).unwrap().taxes.iter().map(|tax| tax.taxable_minor + tax.tax_minor).collect();
    assert_eq!(parts, [75, 25]);
}

#[test]
fn what_is_not_taxed_is_shown_with_its_reason() {
    let export = TaxGroup { treatment: TaxTreatment::Export, ..group(0, false) };
    let priced = price(&PriceInput::of_goods(vec![line(900, 1, Some(export.clone()))])).unwrap();
    assert_eq!((priced.taxes[0].group.treatment, priced.taxes[0].taxable_minor), (TaxTreatment::Export, 900));
    assert_eq!(priced.totals.tax_minor, 0);
    let wrong = TaxGroup { rate: rate(190_000), ..export };
    let refused = price(&PriceInput::of_goods(vec![line(900, 1, Some(wrong))]));
    assert_eq!(refused, Err(PricingError::RateOfTreatment { treatment: TaxTreatment::Export }));
}

#[test]
fn what_makes_no_sense_has_no_price() {
    let goods = |price_minor, quantity| PriceInput::of_goods(vec![line(price_minor, quantity, None)]);
    assert_eq!(price(&goods(-1, 1)), Err(PricingError::Negative));
    assert_eq!(price(&goods(1, -1)), Err(PricingError::Negative));
    assert_eq!(price(&goods(i64::MAX, 2)), Err(PricingError::AmountOverflow));
    let discount = LineDiscount { lines: [1].into(), discount: percent(10) };
    let input = PriceInput { line_discounts: vec![discount], ..goods(1, 1) };
    assert_eq!(price(&input), Err(PricingError::UnknownLine { position: 1 }));
    let input = PriceInput { shipping: vec![shipping(-1, ShippingTax::AsGoods)], ..goods(1, 1) };
    assert_eq!(price(&input), Err(PricingError::Negative));
    let input = PriceInput { shipping: vec![shipping(i64::MAX, ShippingTax::AsGoods)], ..goods(1, 1) };
    assert_eq!(price(&input), Err(PricingError::AmountOverflow));
    let input = PriceInput::of_goods(vec![line(i64::MAX, 1, excluded(1))]);
    assert_eq!(price(&input), Err(PricingError::AmountOverflow));
}
