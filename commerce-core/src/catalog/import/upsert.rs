//! Writes imported products: creates them, changes them, or finds that nothing has to change.

use std::collections::{BTreeSet, HashMap, HashSet};

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::identity::{Known, claim, find_known, keep_keys, refuse_former_slugs, refuse_other, slugs_for};
use super::matching::{changed_variants, check_variants, match_variants, product_changes};
use super::reader::KeyLines;
use super::{ExistingProducts, ImportedProduct, RepeatedSku, Rules};
use crate::catalog::category::WriteCategoryError;
use crate::catalog::category_names::{CategoryName, find_by_names, find_or_create};
use crate::catalog::insert_product::{insert_product, insert_products};
use crate::catalog::insert_variants::insert_variants;
use crate::catalog::lock_product::{count_write, lock_product};
use crate::catalog::product::{NewProduct, NewVariant, Product, ProductPatch};
use crate::catalog::refusal::{ProductRefusal, UpdateProductError, WriteProductError};
use crate::catalog::update_product::apply_patch;
use crate::catalog::write_variants::write_variants;
use crate::catalog::{limits, slugs};
use crate::error::FieldError;
use crate::ids::{CategoryId, ProductId, VariantId};
use crate::money::Currency;
use crate::schema::variants;

/// What happened to an imported product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The product is new.
    Created,
    /// The product was changed.
    Updated,
    /// The product already matched the file.
    Unchanged,
}

/// An imported product in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upserted {
    /// The product.
    pub product_id: ProductId,
    /// What happened to it.
    pub outcome: Outcome,
    /// The variants in the order of the file, each with whether it is new.
    pub variants: Vec<(VariantId, bool)>,
    /// The slug, if it was made for the new product.
    pub made_slug: Option<String>,
    /// The places of the variants that were written without their SKU, because another product has it.
    pub foreign_skus: Vec<usize>,
}

impl Upserted {
    fn unchanged(product_id: ProductId, variants: Vec<(VariantId, bool)>) -> Self {
        Self { product_id, outcome: Outcome::Unchanged, variants, made_slug: None, foreign_skus: Vec::new() }
    }
}

/// Creates the products that the shop does not have, and changes those that differ from the file. All are
/// written together, or each in a savepoint of its own. Stock is left to the caller. The products have
/// different keys, all of them in `keys`. Keep the number of variants in one call below a few thousand.
pub async fn upsert_products(
    conn: &mut AsyncPgConnection,
    products: &[ImportedProduct],
    keys: &mut KeyLines,
    rules: &Rules,
) -> QueryResult<Vec<Result<Upserted, UpdateProductError>>> {
    let known = find_known(conn, products, keys, rules).await?;
    let names = products.iter().flat_map(|product| &product.categories).collect();
    let mut categories = find_by_names(conn, &names).await?;

    let with_known = || products.iter().zip(&known);
    let new: Vec<&ImportedProduct> =
        with_known().filter(|(_, known)| known.is_none()).map(|(product, _)| product).collect();
    let mut made = match make(conn, &new, &names, &categories, rules).await {
        Ok(made) => made,
        Err(UpdateProductError::Database(error)) => return Err(error),
        // One of them cannot be created. Writing them one by one shows which. A category may also have been
        // deleted in the meantime.
        Err(_) => {
            categories = find_by_names(conn, &names).await?;
            HashMap::new()
        }
    };
    let mut outcomes = Vec::with_capacity(products.len());
    for (product, known) in with_known() {
        let done = made.remove(product.key.as_str()).or_else(|| {
            let before = known.as_ref()?;
            if rules.existing == ExistingProducts::Leave {
                return Some(Upserted::unchanged(before.product.id, Vec::new()));
            }
            let is_kept = !before.needs_key(product, rules);
            let same = unchanged(&before.product, product, &categories).filter(|_| is_kept);
            same.filter(|_| claim(keys, product, before).is_ok())
        });
        let outcome = match done {
            Some(upserted) => Ok(upserted),
            None => upsert_product(conn, product, known.as_ref(), &categories, keys, rules).await,
        };
        match outcome {
            Err(UpdateProductError::Database(error)) => return Err(error),
            outcome => outcomes.push(outcome),
        }
    }
    Ok(outcomes)
}

/// Creates all of these products, and the categories that the shop does not have, or nothing.
async fn make<'a>(
    conn: &mut AsyncPgConnection,
    products: &[&'a ImportedProduct],
    names: &BTreeSet<&'a CategoryName>,
    categories: &HashMap<&'a CategoryName, CategoryId>,
    rules: &Rules,
) -> Result<HashMap<&'a str, Upserted>, UpdateProductError> {
    if products.is_empty() {
        return Ok(HashMap::new());
    }
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        let mut categories = categories.clone();
        for name in names {
            if !categories.contains_key(*name) {
                categories.insert(*name, category_id(conn, name).await?);
            }
        }
        let slugs = slugs_for(conn, products, rules).await?;
        let new = products
            .iter()
            .zip(&slugs)
            .map(|(product, slug)| {
                let own = product.categories.iter().filter_map(|name| categories.get(name));
                let own = own.copied().collect::<BTreeSet<_>>().into_iter().collect();
                product.as_new(Some(slug.clone()), own)
            })
            .collect();
        let inserted = insert_products(conn, new, rules.currency).await?;
        let given: Vec<&str> = slugs.iter().map(String::as_str).collect();
        refuse_former_slugs(conn, &given).await??;
        let with_slugs = || products.iter().zip(&slugs).zip(&inserted);
        let kept: Vec<(&str, ProductId)> = with_slugs()
            .filter(|((product, slug), _)| !is_own_slug(product, slug))
            .map(|((product, _), inserted)| (product.key.as_str(), inserted.id))
            .collect();
        keep_keys(conn, rules.layout, &kept).await?;
        let upserted = with_slugs().map(|((product, slug), inserted)| {
            let upserted = Upserted {
                product_id: inserted.id,
                outcome: Outcome::Created,
                variants: inserted.variant_ids.iter().map(|id| (*id, true)).collect(),
                made_slug: Some(slug.clone()).filter(|slug| !is_own_slug(product, slug)),
                foreign_skus: Vec::new(),
            };
            (product.key.as_str(), upserted)
        });
        Ok(upserted.collect())
    })
    .await
}

/// Whether the product is found again by its slug alone.
fn is_own_slug(product: &ImportedProduct, slug: &str) -> bool {
    product.is_slug_given && product.slug == slug
}

/// The result for a product that already matches the file. `None` if it differs.
fn unchanged(
    before: &Product,
    imported: &ImportedProduct,
    categories: &HashMap<&CategoryName, CategoryId>,
) -> Option<Upserted> {
    let names = imported.categories.iter();
    let category_ids = names.map(|name| categories.get(name).copied()).collect::<Option<_>>()?;
    let known = match_variants(before, imported);
    check_variants(before, imported, &known).ok()?;
    let variants = known.iter().map(|known| Some((known.as_ref()?.id, false))).collect::<Option<_>>()?;
    let same = changed_variants(before, imported, &known).is_empty()
        && product_changes(before, imported, category_ids) == ProductPatch::default();
    same.then(|| Upserted::unchanged(before.id, variants))
}

/// Creates the product, or changes the product that it refers to if that differs from the file. That product
/// is `known`, or one that somebody created since. Where products may share SKUs, it is written without those
/// that belong to another product.
async fn upsert_product(
    conn: &mut AsyncPgConnection,
    imported: &ImportedProduct,
    known: Option<&Known>,
    categories: &HashMap<&CategoryName, CategoryId>,
    keys: &mut KeyLines,
    rules: &Rules,
) -> Result<Upserted, UpdateProductError> {
    let written = write_product(conn, imported, known, categories, keys, rules).await;
    let is_taken = matches!(written, Err(UpdateProductError::Refused(ProductRefusal::SkuTaken(_))));
    if !is_taken || rules.repeated_sku == RepeatedSku::Refuse {
        return written;
    }
    let mut without = imported.clone();
    let foreign_skus = drop_foreign_skus(conn, &mut without, known).await?;
    let written = write_product(conn, &without, known, categories, keys, rules).await?;
    Ok(Upserted { foreign_skus, ..written })
}

/// Removes the SKUs that belong to another product than this one. Returns the places of their variants.
async fn drop_foreign_skus(
    conn: &mut AsyncPgConnection,
    imported: &mut ImportedProduct,
    known: Option<&Known>,
) -> QueryResult<Vec<usize>> {
    let skus: Vec<&str> = imported.variants.iter().filter_map(|row| row.variant.sku.as_deref()).collect();
    let owners: Vec<(Option<String>, ProductId)> = variants::table
        .filter(variants::sku.eq_any(skus))
        .select((variants::sku, variants::product_id))
        .load(conn)
        .await?;
    let own = known.map(|known| known.product.id);
    let foreign: HashSet<String> =
        owners.into_iter().filter(|(_, id)| Some(*id) != own).filter_map(|(sku, _)| sku).collect();
    let mut dropped = Vec::new();
    for (at, row) in imported.variants.iter_mut().enumerate() {
        if row.variant.sku.as_ref().is_some_and(|sku| foreign.contains(sku)) {
            row.variant.sku = None;
            dropped.push(at);
        }
    }
    Ok(dropped)
}

async fn write_product(
    conn: &mut AsyncPgConnection,
    imported: &ImportedProduct,
    known: Option<&Known>,
    categories: &HashMap<&CategoryName, CategoryId>,
    keys: &mut KeyLines,
    rules: &Rules,
) -> Result<Upserted, UpdateProductError> {
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        let made_since = match known {
            Some(_) => None,
            None => {
                let found = find_known(conn, std::slice::from_ref(imported), keys, rules).await?;
                found.into_iter().flatten().next()
            }
        };
        let known = known.or(made_since.as_ref());
        if let Some(known) = known {
            claim(keys, imported, known)?;
            refuse_other(imported, known, rules)?;
        }
        let mut category_ids = Vec::with_capacity(imported.categories.len());
        for name in &imported.categories {
            let id = match categories.get(name) {
                Some(id) => *id,
                None => category_id(conn, name).await?,
            };
            if !category_ids.contains(&id) {
                category_ids.push(id);
            }
        }
        let Some(known) = known else { return create(conn, imported, category_ids, rules).await };
        if known.needs_key(imported, rules) {
            keep_keys(conn, rules.layout, &[(&imported.key, known.product.id)]).await?;
        }
        update(conn, known.product.id, imported, category_ids, rules.currency).await
    })
    .await
}

async fn create(
    conn: &mut AsyncPgConnection,
    imported: &ImportedProduct,
    category_ids: Vec<CategoryId>,
    rules: &Rules,
) -> Result<Upserted, UpdateProductError> {
    let slug = slugs_for(conn, &[imported], rules).await?.pop().unwrap_or_default();
    let new = imported.as_new(Some(slug.clone()), category_ids);
    let (slug, inserted) = match insert_product(conn, new.clone(), rules.currency).await {
        Ok(inserted) => (slug, inserted),
        // Somebody took the slug in the meantime.
        Err(WriteProductError::Refused(ProductRefusal::SlugTaken(_))) if !is_own_slug(imported, &slug) => {
            let slug = slugs::unlikely(&imported.slug, limits::PRODUCT_SLUG_CHARS_MAX);
            let new = NewProduct { slug: Some(slug.clone()), ..new };
            (slug, insert_product(conn, new, rules.currency).await?)
        }
        Err(error) => return Err(error.into()),
    };
    refuse_former_slugs(conn, &[&slug]).await??;
    let is_made = !is_own_slug(imported, &slug);
    if is_made {
        keep_keys(conn, rules.layout, &[(&imported.key, inserted.id)]).await?;
    }
    Ok(Upserted {
        product_id: inserted.id,
        outcome: Outcome::Created,
        variants: inserted.variant_ids.into_iter().map(|id| (id, true)).collect(),
        made_slug: is_made.then_some(slug),
        foreign_skus: Vec::new(),
    })
}

async fn category_id(
    conn: &mut AsyncPgConnection,
    name: &CategoryName,
) -> Result<CategoryId, UpdateProductError> {
    find_or_create(conn, name).await.map_err(|error| match error {
        WriteCategoryError::Database(error) => UpdateProductError::Database(error),
        refusal => {
            let message = format!("the category {:?} cannot be created: {refusal}", name.to_string());
            ProductRefusal::Invalid(vec![FieldError { pointer: "/category_ids".to_owned(), message }]).into()
        }
    })
}

async fn update(
    conn: &mut AsyncPgConnection,
    id: ProductId,
    imported: &ImportedProduct,
    category_ids: Vec<CategoryId>,
    currency: Currency,
) -> Result<Upserted, UpdateProductError> {
    let before = lock_product(conn, id, None).await?;
    let known = match_variants(&before, imported);
    check_variants(&before, imported, &known)?;
    let patch = product_changes(&before, imported, category_ids);
    let changed = changed_variants(&before, imported, &known);
    let new: Vec<NewVariant> = imported
        .variants
        .iter()
        .zip(&known)
        .filter(|(_, known)| known.is_none())
        .map(|(variant, _)| variant.variant.clone())
        .collect();

    let nothing = patch == ProductPatch::default() && new.is_empty() && changed.is_empty();
    let outcome = if nothing { Outcome::Unchanged } else { Outcome::Updated };
    let mut new_ids = Vec::new();
    if !nothing {
        apply_patch(conn, &before, patch, currency).await?;
        write_variants(conn, &before, &changed).await?;
        let position = before.variants.len();
        new_ids = insert_variants(conn, id, &imported.option_names, position, &new).await?;
        count_write(conn, id).await?;
    }
    let mut new_ids = new_ids.into_iter();
    let ids = known.iter().filter_map(|known| match known {
        Some(known) => Some((known.id, false)),
        None => new_ids.next().map(|id| (id, true)),
    });
    Ok(Upserted {
        product_id: id,
        outcome,
        variants: ids.collect(),
        made_slug: None,
        foreign_skus: Vec::new(),
    })
}
