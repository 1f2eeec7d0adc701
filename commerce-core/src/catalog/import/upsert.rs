//! Writes imported products: creates them, changes them, or finds that nothing has to change.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::group::Claim;
use super::{ExistingProducts, ImportedProduct, ImportedVariant, SlugLines};
use crate::catalog::category::WriteCategoryError;
use crate::catalog::insert_product::{insert_product, insert_products, insert_variants};
use crate::catalog::lock_product::{count_write, lock_product};
use crate::catalog::product::{Image, NewImage, NewVariant, Product, ProductPatch, Variant, variant_title};
use crate::catalog::read_product::find_by_ids;
use crate::catalog::refusal::{ProductRefusal, UpdateProductError};
use crate::catalog::update_product::apply_patch;
use crate::catalog::variants::write_variants;
use crate::catalog::write_category::{find_by_titles, find_or_create_by_title};
use crate::catalog::{check_product, description, limits};
use crate::error::{FieldError, FieldErrors};
use crate::ids::{CategoryId, ProductId, VariantId};
use crate::money::Currency;
use crate::schema::{former_product_slugs, products, variants};

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
}

/// Creates the products that the shop does not have, and changes those that differ from the file. All are
/// written together, or each in a savepoint of its own. Stock is left to the caller. The products have
/// different slugs, all of them in `slugs`. Keep the number of variants in one call below a few thousand.
pub async fn upsert_products(
    conn: &mut AsyncPgConnection,
    products: &[ImportedProduct],
    slugs: &mut SlugLines,
    existing: ExistingProducts,
    currency: Currency,
) -> QueryResult<Vec<Result<Upserted, UpdateProductError>>> {
    let known = find_known(conn, products, slugs).await?;
    let titles = products.iter().flat_map(|product| &product.category_titles).map(String::as_str).collect();
    let mut categories = find_by_titles(conn, &titles).await?;

    let with_known = || products.iter().zip(&known);
    let new: Vec<&ImportedProduct> =
        with_known().filter(|(_, known)| known.is_none()).map(|(product, _)| product).collect();
    let mut made = match make(conn, &new, &titles, &categories, currency).await {
        Ok(made) => made,
        Err(UpdateProductError::Database(error)) => return Err(error),
        // One of them cannot be created. Writing them one by one shows which. A category may also have been
        // deleted in the meantime.
        Err(_) => {
            categories = find_by_titles(conn, &titles).await?;
            HashMap::new()
        }
    };
    let mut outcomes = Vec::with_capacity(products.len());
    for (product, known) in with_known() {
        let done = made.remove(product.slug.as_str()).or_else(|| {
            let before = known.as_ref()?;
            if existing == ExistingProducts::Leave {
                let (product_id, outcome) = (before.id, Outcome::Unchanged);
                return Some(Upserted { product_id, outcome, variants: Vec::new() });
            }
            unchanged(before, product, &categories).filter(|_| claim(slugs, product, before).is_ok())
        });
        let outcome = match done {
            Some(upserted) => Ok(upserted),
            None => upsert_product(conn, product, known.as_ref(), &categories, slugs, currency).await,
        };
        match outcome {
            Err(UpdateProductError::Database(error)) => return Err(error),
            outcome => outcomes.push(outcome),
        }
    }
    Ok(outcomes)
}

/// The products of the shop that the file refers to. They are found first by the present slug, and then by a
/// former slug, so that an older file finds a product that was renamed since. They are found last by SKUs, if
/// all of these belong to one product that the file does not name by its own slug. Otherwise such a SKU moves
/// to another product.
async fn find_known(
    conn: &mut AsyncPgConnection,
    imported: &[ImportedProduct],
    in_file: &SlugLines,
) -> QueryResult<Vec<Option<Product>>> {
    let slugs: Vec<&str> = imported.iter().map(|product| product.slug.as_str()).collect();
    let rows: Vec<(String, ProductId)> = products::table
        .filter(products::slug.eq_any(&slugs))
        .select((products::slug, products::id))
        .load(conn)
        .await?;
    let mut by_slug: HashMap<String, ProductId> = rows.into_iter().collect();
    if by_slug.len() < slugs.len() {
        for (slug, id) in find_by_former_slugs(conn, &slugs).await? {
            by_slug.entry(slug).or_insert(id);
        }
    }
    let unknown = imported.iter().filter(|product| !by_slug.contains_key(&product.slug));
    let skus: Vec<&str> = unknown.flat_map(skus_of).collect();
    let by_sku: HashMap<String, (ProductId, String)> = if skus.is_empty() {
        HashMap::new()
    } else {
        let rows: Vec<(Option<String>, ProductId, String)> = variants::table
            .inner_join(products::table)
            .filter(variants::sku.eq_any(skus))
            .select((variants::sku, products::id, products::slug))
            .load(conn)
            .await?;
        rows.into_iter().filter_map(|(sku, id, slug)| Some((sku?, (id, slug)))).collect()
    };
    let ids: Vec<Option<ProductId>> = imported
        .iter()
        .map(|product| {
            by_slug.get(&product.slug).copied().or_else(|| {
                let mut owners = skus_of(product).filter_map(|sku| by_sku.get(sku));
                let (first, slug) = owners.next()?;
                let is_one = owners.all(|(other, _)| other == first);
                let is_named = in_file.is_of_another(slug, product.places.product_line);
                (is_one && !is_named).then_some(*first)
            })
        })
        .collect();
    let found = find_by_ids(conn, &ids.iter().flatten().copied().collect::<Vec<_>>()).await?;
    let by_id: HashMap<ProductId, Product> = found.into_iter().map(|product| (product.id, product)).collect();
    Ok(ids.into_iter().map(|id| by_id.get(&id?).cloned()).collect())
}

fn skus_of(product: &ImportedProduct) -> impl Iterator<Item = &str> {
    product.variants.iter().filter_map(|row| row.variant.sku.as_deref())
}

async fn find_by_former_slugs(
    conn: &mut AsyncPgConnection,
    slugs: &[&str],
) -> QueryResult<Vec<(String, ProductId)>> {
    former_product_slugs::table
        .filter(former_product_slugs::slug.eq_any(slugs))
        .select((former_product_slugs::slug, former_product_slugs::product_id))
        .load(conn)
        .await
}

/// Refuses a second product of the file that refers to the same product of the shop, by its slug, a former
/// slug or a SKU.
fn claim(slugs: &mut SlugLines, imported: &ImportedProduct, known: &Product) -> Result<(), ProductRefusal> {
    let slug = &known.slug;
    let claim = Claim { line: imported.places.product_line, is_renamed: *slug != imported.slug };
    let Some(Claim { line, .. }) = slugs.claim(slug, claim) else { return Ok(()) };
    let message =
        format!("refers to the shop's product {slug:?} by a former slug or a SKU, and so does line {line}");
    Err(ProductRefusal::Invalid(vec![FieldError { pointer: "/slug".to_owned(), message }]))
}

/// Refuses slugs that led to another product until now, because somebody renamed that product after it was
/// looked up.
async fn refuse_former_slugs(conn: &mut AsyncPgConnection, slugs: &[&str]) -> Result<(), UpdateProductError> {
    match find_by_former_slugs(conn, slugs).await?.pop() {
        Some((slug, _)) => Err(ProductRefusal::SlugTaken(slug).into()),
        None => Ok(()),
    }
}

/// Creates all of these products, and the categories that the shop does not have, or nothing.
async fn make<'a>(
    conn: &mut AsyncPgConnection,
    products: &[&'a ImportedProduct],
    titles: &BTreeSet<&'a str>,
    categories: &HashMap<&'a str, CategoryId>,
    currency: Currency,
) -> Result<HashMap<&'a str, Upserted>, UpdateProductError> {
    if products.is_empty() {
        return Ok(HashMap::new());
    }
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        let mut categories = categories.clone();
        // In a fixed order, so that two imports that create the same categories cannot deadlock.
        for title in titles {
            if !categories.contains_key(*title) {
                categories.insert(*title, category_id(conn, title).await?);
            }
        }
        let new = products
            .iter()
            .map(|product| {
                let own = product.category_titles.iter().filter_map(|title| categories.get(title.as_str()));
                product.as_new(own.copied().collect::<BTreeSet<_>>().into_iter().collect())
            })
            .collect();
        let inserted = insert_products(conn, new, currency).await?;
        let slugs: Vec<&str> = products.iter().map(|product| product.slug.as_str()).collect();
        refuse_former_slugs(conn, &slugs).await?;
        let upserted = inserted.into_iter().map(|inserted| Upserted {
            product_id: inserted.id,
            outcome: Outcome::Created,
            variants: inserted.variant_ids.into_iter().map(|id| (id, true)).collect(),
        });
        Ok(products.iter().map(|product| product.slug.as_str()).zip(upserted).collect())
    })
    .await
}

/// The result for a product that already matches the file. `None` if it differs.
fn unchanged(
    before: &Product,
    imported: &ImportedProduct,
    categories: &HashMap<&str, CategoryId>,
) -> Option<Upserted> {
    let titles = imported.category_titles.iter();
    let category_ids = titles.map(|title| categories.get(title.as_str()).copied()).collect::<Option<_>>()?;
    let known = match_variants(before, imported);
    check_variants(before, imported, &known).ok()?;
    let variants = known.iter().map(|known| Some((known.as_ref()?.id, false))).collect::<Option<_>>()?;
    let same = changed_variants(before, imported, &known).is_empty()
        && product_changes(before, imported, category_ids) == ProductPatch::default();
    same.then_some(Upserted { product_id: before.id, outcome: Outcome::Unchanged, variants })
}

/// Creates the product, or changes the product that it refers to if that differs from the file. That product
/// is `known`, or one that somebody created since.
async fn upsert_product(
    conn: &mut AsyncPgConnection,
    imported: &ImportedProduct,
    known: Option<&Product>,
    categories: &HashMap<&str, CategoryId>,
    slugs: &mut SlugLines,
    currency: Currency,
) -> Result<Upserted, UpdateProductError> {
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        let made_since = match known {
            Some(_) => None,
            None => {
                find_known(conn, std::slice::from_ref(imported), slugs).await?.into_iter().flatten().next()
            }
        };
        let known = known.or(made_since.as_ref());
        if let Some(known) = known {
            claim(slugs, imported, known)?;
        }
        let mut category_ids = Vec::with_capacity(imported.category_titles.len());
        for title in &imported.category_titles {
            let id = match categories.get(title.as_str()) {
                Some(id) => *id,
                None => category_id(conn, title).await?,
            };
            if !category_ids.contains(&id) {
                category_ids.push(id);
            }
        }
        if let Some(known) = known {
            return update(conn, known.id, imported, category_ids, currency).await;
        }
        let inserted = insert_product(conn, imported.as_new(category_ids), currency).await?;
        refuse_former_slugs(conn, &[&imported.slug]).await?;
        let variants = inserted.variant_ids.into_iter().map(|id| (id, true)).collect();
        Ok(Upserted { product_id: inserted.id, outcome: Outcome::Created, variants })
    })
    .await
}

async fn category_id(conn: &mut AsyncPgConnection, title: &str) -> Result<CategoryId, UpdateProductError> {
    find_or_create_by_title(conn, title).await.map_err(|error| match error {
        WriteCategoryError::Database(error) => UpdateProductError::Database(error),
        refusal => {
            let message = format!("the category {title:?} cannot be created: {refusal}");
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
        write_variants(conn, &changed).await?;
        let position = before.variants.len();
        new_ids = insert_variants(conn, id, &imported.option_names, position, &new).await?;
        count_write(conn, id).await?;
    }
    let mut new_ids = new_ids.into_iter();
    let ids = known.iter().filter_map(|known| match known {
        Some(known) => Some((known.id, false)),
        None => new_ids.next().map(|id| (id, true)),
    });
    Ok(Upserted { product_id: id, outcome, variants: ids.collect() })
}

/// The variants that the file refers to: by SKU, and for the others by options.
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

/// A file may reorder the options of a product and add variants, but may not rename the options that variants
/// use. Variants may exchange their options and SKUs, as long as each has its own in the end.
fn check_variants(
    before: &Product,
    imported: &ImportedProduct,
    known: &[Option<&Variant>],
) -> Result<(), ProductRefusal> {
    let mut errors = FieldErrors::default();
    if !before.variants.is_empty()
        && !check_product::are_same_names(&before.option_names, &imported.option_names)
    {
        let known =
            if before.option_names.is_empty() { "none".to_owned() } else { before.option_names.join(", ") };
        errors.push("/option_names", format!("the product in the shop has other options: {known}"));
    }
    let new = known.iter().filter(|known| known.is_none()).count();
    if before.variants.len() + new > limits::VARIANTS_PER_PRODUCT_MAX {
        let max = limits::VARIANTS_PER_PRODUCT_MAX;
        errors.push("/variants", format!("with those in the shop the product has more than {max} variants"));
    }
    let is_in_file = |variant: &Variant| known.iter().flatten().any(|known| known.id == variant.id);
    for (at, row) in imported.variants.iter().enumerate() {
        let has_options = |variant: &&Variant| variant.options == row.variant.options;
        if let Some(other) = before.variants.iter().filter(|variant| !is_in_file(variant)).find(has_options) {
            let sku = other.sku.as_ref().map_or(String::new(), |sku| format!(", with the SKU {sku:?}"));
            let message = format!("are those of another variant that the product has in the shop{sku}");
            errors.push(format!("/variants/{at}/options"), message);
        }
    }
    check_product::finish(errors)
}

/// The changes of the file to the product itself.
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

/// The images of the file, and the uploaded images, which stay in their places because a file can only name
/// links.
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

/// The new state of the variants that differ from the file. Titles follow the order of the file's options,
/// also for variants that are not in the file.
fn changed_variants(
    before: &Product,
    imported: &ImportedProduct,
    known: &[Option<&Variant>],
) -> Vec<Variant> {
    let row_of = |variant: &Variant| {
        let mut pairs = known.iter().zip(&imported.variants);
        pairs.find(|(known, _)| known.is_some_and(|known| known.id == variant.id)).map(|(_, row)| row)
    };
    let wanted = before.variants.iter().map(|variant| {
        let mut wanted = row_of(variant).map_or_else(|| variant.clone(), |row| with_row(variant, row));
        wanted.title = variant_title(&imported.option_names, &wanted.options);
        (variant, wanted)
    });
    wanted.filter(|(variant, wanted)| *variant != wanted).map(|(_, wanted)| wanted).collect()
}

fn with_row(known: &Variant, row: &ImportedVariant) -> Variant {
    let new = &row.variant;
    Variant {
        sku: new.sku.clone().or_else(|| known.sku.clone()),
        options: new.options.clone(),
        price: new.price,
        compare_at_price: if row.has_compare_at_column {
            new.compare_at_price
        } else {
            known.compare_at_price
        },
        active: if row.has_active_column { new.active } else { known.active },
        ..known.clone()
    }
}
