//! Writes imported products: makes them, changes them, or finds that there is nothing to do.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::{ExistingProducts, ImportedProduct, ImportedVariant};
use crate::catalog::category::{WriteCategoryError, find_by_titles, find_or_create_by_title};
use crate::catalog::insert_product::{insert_product, insert_products, insert_variants};
use crate::catalog::product::{Image, NewImage, NewVariant, Product, ProductPatch, Variant, VariantPatch};
use crate::catalog::read_product::find_by_slugs;
use crate::catalog::refusal::{ProductRefusal, UpdateProductError};
use crate::catalog::update_product::{apply_patch, finish_write, lock_product};
use crate::catalog::variants::patch_variant;
use crate::catalog::{check_product, description, limits};
use crate::error::{FieldError, FieldErrors};
use crate::ids::{CategoryId, ProductId, VariantId};
use crate::money::Currency;
use crate::schema::products;

/// What became of an imported product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Updated,
    Unchanged,
}

/// An imported product in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upserted {
    pub product_id: ProductId,
    pub outcome: Outcome,
    /// By the order of the file; the second tells whether the variant is new.
    pub variants: Vec<(VariantId, bool)>,
}

/// Makes the products that the shop does not have, and changes those that differ from the file, each in a savepoint of its own
/// or all together. Stock is left to the caller. The products have
/// different slugs; keep their variants below a few thousand.
pub async fn upsert_products(
    conn: &mut AsyncPgConnection,
    products: &[ImportedProduct],
    existing: ExistingProducts,
    currency: Currency,
) -> QueryResult<Vec<Result<Upserted, UpdateProductError>>> {
    let slugs = products.iter().map(|product| &product.slug);
    let known: HashMap<String, Product> = find_by_slugs(conn, slugs)
        .await?
        .into_iter()
        .map(|product| (product.slug.clone(), product))
        .collect();
    let titles = products.iter().flat_map(|product| &product.category_titles).map(String::as_str).collect();
    let categories = find_by_titles(conn, &titles).await?;

    let is_new = |product: &&ImportedProduct| !known.contains_key(&product.slug);
    let new: Vec<&ImportedProduct> = products.iter().filter(is_new).collect();
    let mut made = match make(conn, &new, titles, currency).await {
        Ok(made) => made,
        Err(UpdateProductError::Database(error)) => return Err(error),
        // One of them cannot be made: one by one it will be seen which.
        Err(_) => HashMap::new(),
    };
    let mut outcomes = Vec::with_capacity(products.len());
    for product in products {
        let done = made.remove(product.slug.as_str()).or_else(|| {
            let before = known.get(&product.slug)?;
            if existing == ExistingProducts::Leave {
                let (product_id, outcome) = (before.id, Outcome::Unchanged);
                return Some(Upserted { product_id, outcome, variants: Vec::new() });
            }
            unchanged(before, product, &categories)
        });
        outcomes.push(match done {
            Some(upserted) => Ok(upserted),
            None => match upsert_product(conn, product, currency).await {
                Err(UpdateProductError::Database(error)) => return Err(error),
                outcome => outcome,
            },
        });
    }
    Ok(outcomes)
}

/// Makes all of these products, or none.
async fn make<'a>(
    conn: &mut AsyncPgConnection,
    products: &[&'a ImportedProduct],
    titles: BTreeSet<&str>,
    currency: Currency,
) -> Result<HashMap<&'a str, Upserted>, UpdateProductError> {
    if products.is_empty() {
        return Ok(HashMap::new());
    }
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        let mut categories = HashMap::new();
        // In one order, so that two imports at once do not wait for each other in a circle.
        for title in titles {
            categories.insert(title, category_id(conn, title).await?);
        }
        let new = products
            .iter()
            .map(|product| {
                let own = product.category_titles.iter().filter_map(|title| categories.get(title.as_str()));
                product.as_new(own.copied().collect::<BTreeSet<_>>().into_iter().collect())
            })
            .collect();
        let inserted = insert_products(conn, new, currency).await?;
        let upserted = inserted.into_iter().map(|inserted| Upserted {
            product_id: inserted.id,
            outcome: Outcome::Created,
            variants: inserted.variant_ids.into_iter().map(|id| (id, true)).collect(),
        });
        Ok(products.iter().map(|product| product.slug.as_str()).zip(upserted).collect())
    })
    .await
}

/// What became of a product that is as the file has it already; `None` when it differs.
fn unchanged(
    before: &Product,
    imported: &ImportedProduct,
    categories: &HashMap<&str, CategoryId>,
) -> Option<Upserted> {
    let titles = imported.category_titles.iter();
    let category_ids = titles.map(|title| categories.get(title.as_str()).copied()).collect::<Option<_>>()?;
    let known: Vec<&Variant> = match_variants(before, imported).into_iter().collect::<Option<_>>()?;
    check_options(before, imported, 0).ok()?;
    let same_variants =
        imported.variants.iter().zip(&known).all(|(row, known)| variant_changes(known, row).is_empty());
    let same = same_variants && product_changes(before, imported, category_ids) == ProductPatch::default();
    let variants = known.iter().map(|known| (known.id, false)).collect();
    same.then_some(Upserted { product_id: before.id, outcome: Outcome::Unchanged, variants })
}

/// Makes the product of this slug, or changes it where it differs from the file.
async fn upsert_product(
    conn: &mut AsyncPgConnection,
    imported: &ImportedProduct,
    currency: Currency,
) -> Result<Upserted, UpdateProductError> {
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        let mut category_ids = Vec::with_capacity(imported.category_titles.len());
        for title in &imported.category_titles {
            let id = category_id(conn, title).await?;
            if !category_ids.contains(&id) {
                category_ids.push(id);
            }
        }
        let known: Option<ProductId> = products::table
            .filter(products::slug.eq(&imported.slug))
            .select(products::id)
            .first(conn)
            .await
            .optional()?;
        if let Some(id) = known {
            return update(conn, id, imported, category_ids, currency).await;
        }
        let inserted = insert_product(conn, imported.as_new(category_ids), currency).await?;
        let variants = inserted.variant_ids.into_iter().map(|id| (id, true)).collect();
        Ok(Upserted { product_id: inserted.id, outcome: Outcome::Created, variants })
    })
    .await
}

async fn category_id(conn: &mut AsyncPgConnection, title: &str) -> Result<CategoryId, UpdateProductError> {
    find_or_create_by_title(conn, title).await.map_err(|error| match error {
        WriteCategoryError::Database(error) => UpdateProductError::Database(error),
        refusal => {
            let message = format!("the category {title:?} cannot be made: {refusal}");
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
    check_options(&before, imported, known.iter().filter(|known| known.is_none()).count())?;
    let patch = product_changes(&before, imported, category_ids);
    let patches: Vec<Option<(VariantId, VariantPatch)>> = imported
        .variants
        .iter()
        .zip(&known)
        .map(|(variant, known)| known.map(|known| (known.id, variant_changes(known, variant))))
        .collect();
    let new: Vec<NewVariant> = imported
        .variants
        .iter()
        .zip(&known)
        .filter(|(_, known)| known.is_none())
        .map(|(variant, _)| variant.variant.clone())
        .collect();

    let nothing = patch == ProductPatch::default()
        && new.is_empty()
        && patches.iter().flatten().all(|(_, patch)| patch.is_empty());
    let outcome = if nothing { Outcome::Unchanged } else { Outcome::Updated };
    let mut new_ids = Vec::new();
    if !nothing {
        apply_patch(conn, &before, patch, currency).await?;
        for (at, (variant_id, patch)) in
            patches.iter().enumerate().filter_map(|(at, p)| Some((at, p.as_ref()?)))
        {
            if !patch.is_empty() {
                patch_variant(
                    conn,
                    &before,
                    *variant_id,
                    &format!("/variants/{at}"),
                    patch.clone(),
                    currency,
                )
                .await?;
            }
        }
        let position = before.variants.len();
        new_ids = insert_variants(conn, id, &imported.option_names, position, &new).await?;
        finish_write(conn, id).await?;
    }
    let mut new_ids = new_ids.into_iter();
    let ids = patches.iter().filter_map(|patch| match patch {
        Some((id, _)) => Some((*id, false)),
        None => new_ids.next().map(|id| (id, true)),
    });
    Ok(Upserted { product_id: id, outcome, variants: ids.collect() })
}

/// The variants that the file means: those with its SKUs, and else, among the others, those with its options.
fn match_variants<'a>(before: &'a Product, imported: &ImportedProduct) -> Vec<Option<&'a Variant>> {
    let known = || before.variants.iter();
    let rows = || imported.variants.iter().map(|row| &row.variant);
    let by_sku: Vec<Option<&Variant>> =
        rows().map(|row| known().find(|variant| variant.sku.is_some() && variant.sku == row.sku)).collect();
    let is_free = |variant: &&Variant| by_sku.iter().flatten().all(|taken| taken.id != variant.id);
    let by_options =
        |row: &NewVariant| known().filter(is_free).find(|variant| variant.options == row.options);
    rows().zip(&by_sku).map(|(row, found)| found.or_else(|| by_options(row))).collect()
}

/// A file may reorder the options of a product and add variants, but not rename what its variants chose.
fn check_options(before: &Product, imported: &ImportedProduct, new: usize) -> Result<(), ProductRefusal> {
    let mut errors = FieldErrors::default();
    if !before.variants.is_empty()
        && !check_product::are_same_names(&before.option_names, &imported.option_names)
    {
        let known =
            if before.option_names.is_empty() { "none".to_owned() } else { before.option_names.join(", ") };
        errors.push("/option_names", format!("the product in the shop has other options: {known}"));
    }
    if before.variants.len() + new > limits::VARIANTS_PER_PRODUCT_MAX {
        let max = limits::VARIANTS_PER_PRODUCT_MAX;
        errors.push("/variants", format!("with those in the shop the product has more than {max} variants"));
    }
    if errors.is_empty() { Ok(()) } else { Err(ProductRefusal::Invalid(errors.into_vec())) }
}

/// What the file changes in the product itself.
fn product_changes(
    before: &Product,
    imported: &ImportedProduct,
    category_ids: Vec<CategoryId>,
) -> ProductPatch {
    let changed = |new: &str, old: &str| (new.trim() != old).then(|| new.to_owned());
    let mut attributes = before.attributes.clone();
    attributes.extend(imported.attributes.clone());
    let mut categories = before.category_ids.clone();
    categories.extend(category_ids.into_iter().filter(|id| !before.category_ids.contains(id)));
    let wanted = with_uploads(&imported.images, &before.images);
    let linked = before.images.iter().map(|image| (&image.url, &image.alt));
    let images_differ =
        !imported.images.is_empty() && !linked.eq(wanted.iter().map(|image| (&image.url, &image.alt)));
    ProductPatch {
        slug: None,
        title: changed(&imported.title, &before.title),
        description: imported
            .description
            .as_ref()
            .filter(|html| description::sanitise(html) != before.description)
            .cloned(),
        status: imported.status.filter(|status| *status != before.status),
        attributes: (attributes != before.attributes).then_some(attributes),
        option_names: (imported.option_names != before.option_names).then(|| imported.option_names.clone()),
        category_ids: (categories != before.category_ids).then_some(categories),
        images: images_differ.then_some(wanted),
        only_variant: None,
    }
}

/// The images of the file, and those that were uploaded, which stay in their places: a file can only know of links.
fn with_uploads(imported: &[NewImage], before: &[Image]) -> Vec<NewImage> {
    let mut images = imported.to_vec();
    for (place, upload) in before.iter().enumerate().filter(|(_, image)| image.is_uploaded()) {
        if !images.iter().any(|image| image.url == upload.url) {
            let upload = NewImage { url: upload.url.clone(), alt: upload.alt.clone() };
            images.insert(place.min(images.len()), upload);
        }
    }
    images
}

/// What the file changes in a variant.
fn variant_changes(before: &Variant, imported: &ImportedVariant) -> VariantPatch {
    let new = &imported.variant;
    let compare_at = imported.has_compare_at_column && new.compare_at_price != before.compare_at_price;
    let active = imported.has_active_column && new.active != before.active;
    VariantPatch {
        sku: (new.sku.is_some() && new.sku != before.sku).then(|| new.sku.clone()),
        options: (new.options != before.options).then(|| new.options.clone()),
        price: (new.price != before.price).then_some(new.price),
        compare_at_price: compare_at.then_some(new.compare_at_price),
        active: active.then_some(new.active),
    }
}
