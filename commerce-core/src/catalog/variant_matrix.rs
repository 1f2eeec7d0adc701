//! Creates variants for every combination of options.

use std::collections::BTreeSet;

use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::insert_variants::insert_variants;
use super::lock_product::{finish_write, lock_product};
use super::product::{NewVariant, Options, Product};
use super::refusal::{ProductRefusal, UpdateProductError};
use super::variant_details::{StaffDetails, VariantDetails};
use super::variants::set_option_names;
use super::{check_product, limits};
use crate::error::FieldErrors;
use crate::ids::{ProductId, VariantId};
use crate::money::{Currency, Money};
use crate::text::single_line;

/// An option and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionValues {
    /// The option's name, such as Size.
    pub name: String,
    /// The values, in their order.
    pub values: Vec<String>,
}

/// Adds a variant for every combination of these options that the product does not have yet, all with the
/// same price. Returns their ids and the product. Calling it again adds nothing. A product without variants
/// takes the names of its options from here.
pub async fn add_combinations(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    if_version: Option<i32>,
    options: &[OptionValues],
    price: Money,
    currency: Currency,
) -> Result<(Vec<VariantId>, Product), UpdateProductError> {
    let options = normalised(options);
    check(&options)?;
    check_product::currency(currency, check_product::given_prices("", Some(&price), None, None))?;
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        let product = lock_product(conn, product_id, if_version).await?;
        let new: Vec<NewVariant> = combinations(&options)
            .into_iter()
            .filter(|wanted| product.variants.iter().all(|known| known.options != *wanted))
            .map(|options| NewVariant {
                sku: None,
                options,
                price,
                compare_at_price: None,
                active: true,
                details: VariantDetails::default(),
                staff: StaffDetails::default(),
            })
            .collect();
        check_fit(&product, &options, new.len())?;
        if new.is_empty() {
            return Ok((Vec::new(), product));
        }
        let mut names = product.option_names;
        if product.variants.is_empty() {
            names = options.into_iter().map(|option| option.name).collect();
            set_option_names(conn, product_id, &names).await?;
        }
        let ids = insert_variants(conn, product_id, &names, product.variants.len(), &new).await?;
        Ok((ids, finish_write(conn, product_id).await?))
    })
    .await
}

fn normalised(options: &[OptionValues]) -> Vec<OptionValues> {
    options
        .iter()
        .map(|option| OptionValues {
            name: single_line(&option.name),
            values: option.values.iter().map(|value| single_line(value)).collect(),
        })
        .collect()
}

fn check(options: &[OptionValues]) -> Result<(), ProductRefusal> {
    let mut errors = FieldErrors::default();
    if !(1..=limits::OPTIONS_PER_PRODUCT_MAX).contains(&options.len()) {
        let max = limits::OPTIONS_PER_PRODUCT_MAX;
        errors.push("/options", format!("must have one to {max} options"));
    }
    let mut names = BTreeSet::new();
    for (at, option) in options.iter().enumerate() {
        let pointer = format!("/options/{at}/name");
        errors.check_text(&pointer, &option.name, 1..=limits::OPTION_NAME_CHARS_MAX);
        if !names.insert(&option.name) {
            errors.push(pointer, "is named twice");
        }
        if option.values.is_empty() {
            errors.push(format!("/options/{at}/values"), "must have at least one value");
        }
        let mut values = BTreeSet::new();
        for (index, value) in option.values.iter().enumerate() {
            let pointer = format!("/options/{at}/values/{index}");
            errors.check_text(&pointer, value, 1..=limits::OPTION_VALUE_CHARS_MAX);
            if !values.insert(value) {
                errors.push(pointer, "is named twice");
            }
        }
    }
    let count = options.iter().try_fold(1_usize, |count, option| count.checked_mul(option.values.len()));
    if count.is_none_or(|count| count > limits::VARIANTS_PER_PRODUCT_MAX) {
        let max = limits::VARIANTS_PER_PRODUCT_MAX;
        errors.push("/options", format!("have more combinations than the {max} variants of a product"));
    }
    check_product::finish(errors)
}

/// Checks that the options are those of the product's variants, and that there is room for the new variants.
fn check_fit(product: &Product, options: &[OptionValues], new: usize) -> Result<(), ProductRefusal> {
    let mut errors = FieldErrors::default();
    let names: BTreeSet<&String> = options.iter().map(|option| &option.name).collect();
    if !product.variants.is_empty() && names != product.option_names.iter().collect() {
        let own = match product.option_names.as_slice() {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        errors.push("/options", format!("must be those of the product's variants: {own}"));
    }
    let total = product.variants.len() + new;
    if total > limits::VARIANTS_PER_PRODUCT_MAX {
        let max = limits::VARIANTS_PER_PRODUCT_MAX;
        errors.push("/options", format!("would make {total} variants; a product has at most {max}"));
    }
    check_product::finish(errors)
}

/// The last option varies first: S red, S blue, M red, M blue.
fn combinations(options: &[OptionValues]) -> Vec<Options> {
    options.iter().fold(vec![Options::new()], |combinations, OptionValues { name, values }| {
        let with_each = |options: Options| {
            values.iter().map(move |value| {
                let mut options = options.clone();
                options.insert(name.clone(), value.clone());
                options
            })
        };
        combinations.into_iter().flat_map(with_each).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str, values: &[&str]) -> OptionValues {
        OptionValues { name: name.into(), values: values.iter().map(|value| (*value).into()).collect() }
    }

    #[test]
    fn every_value_meets_every_other() {
        let made = combinations(&[option("Size", &["S", "M"]), option("Color", &["Red", "Blue"])]);
        let made: Vec<_> =
            made.iter().map(|options| format!("{} {}", options["Size"], options["Color"])).collect();
        assert_eq!(made, ["S Red", "S Blue", "M Red", "M Blue"]);
    }

    #[test]
    fn what_makes_no_matrix_is_refused() {
        let numbers: Vec<String> = (0..46).map(|number| number.to_string()).collect();
        let many: Vec<&str> = numbers.iter().map(String::as_str).collect();
        for (options, pointer) in [
            (vec![], "/options"),
            (vec![option("", &["S"])], "/options/0/name"),
            (vec![option("Size", &[])], "/options/0/values"),
            (vec![option("Size", &["S", "S"])], "/options/0/values/1"),
            (vec![option("Size", &["S"]), option("Size", &["M"])], "/options/1/name"),
            (vec![option("A", &many), option("B", &many)], "/options"),
        ] {
            let Err(ProductRefusal::Invalid(errors)) = check(&options) else { panic!("{options:?}") };
            assert_eq!(errors[0].pointer, pointer, "{errors:?}");
        }
        assert_eq!(check(&[option("A", &many)]), Ok(()));
    }
}
