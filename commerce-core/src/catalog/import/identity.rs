//! Which product of the shop a product of a file is. Keys are compared as they stand. A slug that was made
//! from something else names nothing.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::reader::{Claim, KeyLines};
use super::{ImportedProduct, Layout, RepeatedSku, Rules};
use crate::catalog::product::Product;
use crate::catalog::read_product::find_by_ids;
use crate::catalog::{ProductRefusal, limits, slugs};
use crate::error::FieldError;
use crate::ids::ProductId;
use crate::schema::{former_product_slugs, product_source_keys, products, variants};

/// A product of the shop that the file refers to.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub product: Product,
    /// The key that the source has for it, if it is kept.
    key: Option<String>,
    /// Whether only its SKUs say so.
    is_by_sku: bool,
}

impl Known {
    /// The name that a file of this source uses for it.
    fn name(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.product.slug)
    }

    /// Whether the file's key has to be kept to find it again.
    pub fn needs_key(&self, imported: &ImportedProduct, rules: &Rules) -> bool {
        self.is_by_sku && (!imported.is_slug_given || rules.layout != Layout::Native)
    }
}

/// The products of the shop that the file refers to. They are found first by the kept key, then by the present
/// slug, and then by a former slug, so that an older file finds a product that was renamed since. They are
/// found last by SKUs, if all of these belong to one product that the file does not name by its own key.
/// Otherwise such a SKU moves to another product.
pub(super) async fn find_known(
    conn: &mut AsyncPgConnection,
    imported: &[ImportedProduct],
    in_file: &KeyLines,
    rules: &Rules,
) -> QueryResult<Vec<Option<Known>>> {
    let keys: Vec<&str> = imported.iter().map(|product| product.key.as_str()).collect();
    let rows: Vec<(String, ProductId)> = product_source_keys::table
        .filter(product_source_keys::source.eq(rules.layout.as_str()))
        .filter(product_source_keys::key.eq_any(&keys))
        .select((product_source_keys::key, product_source_keys::product_id))
        .load(conn)
        .await?;
    let by_key: HashMap<String, ProductId> = rows.into_iter().collect();
    let without_key = || imported.iter().filter(|product| !by_key.contains_key(&product.key));
    let given = without_key().filter(|product| product.is_slug_given);
    let by_slug = find_by_slugs(conn, given.map(|product| product.slug.as_str()).collect(), rules).await?;
    let unknown: Vec<&ImportedProduct> = without_key()
        .filter(|product| !product.is_slug_given || !by_slug.contains_key(&product.slug))
        .collect();
    let by_sku = find_by_skus(conn, &unknown, in_file, rules).await?;
    let ids: Vec<Option<(ProductId, bool)>> = imported
        .iter()
        .map(|product| {
            let of_slug = by_slug.get(&product.slug).filter(|_| product.is_slug_given);
            let certain = by_key.get(&product.key).or(of_slug).map(|id| (*id, false));
            certain.or_else(|| by_sku.get(product.key.as_str()).map(|id| (*id, true)))
        })
        .collect();
    let wanted: Vec<ProductId> = ids.iter().flatten().map(|(id, _)| *id).collect();
    let mut kept = keys_of_products(conn, rules.layout, &wanted).await?;
    let found = find_by_ids(conn, &wanted).await?;
    let by_id: HashMap<ProductId, Product> = found.into_iter().map(|product| (product.id, product)).collect();
    Ok(ids
        .into_iter()
        .map(|found| {
            let (id, is_by_sku) = found?;
            Some(Known { product: by_id.get(&id)?.clone(), key: kept.remove(&id), is_by_sku })
        })
        .collect())
}

/// The keys that a source has for products, as far as they are kept.
pub(in crate::catalog) async fn keys_of_products(
    conn: &mut AsyncPgConnection,
    source: Layout,
    ids: &[ProductId],
) -> QueryResult<HashMap<ProductId, String>> {
    let rows: Vec<(ProductId, String)> = product_source_keys::table
        .filter(product_source_keys::source.eq(source.as_str()))
        .filter(product_source_keys::product_id.eq_any(ids))
        .order((product_source_keys::product_id, product_source_keys::key.desc()))
        .select((product_source_keys::product_id, product_source_keys::key))
        .load(conn)
        .await?;
    Ok(rows.into_iter().collect())
}

/// The products with these present or former slugs. A product whose key in another shop is kept is not meant
/// by its slug in a file of that shop.
async fn find_by_slugs(
    conn: &mut AsyncPgConnection,
    slugs: Vec<&str>,
    rules: &Rules,
) -> QueryResult<HashMap<String, ProductId>> {
    if slugs.is_empty() {
        return Ok(HashMap::new());
    }
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
    // Our own layout names products by their slugs.
    if rules.layout != Layout::Native {
        let ids: Vec<ProductId> = by_slug.values().copied().collect();
        let kept = keys_of_products(conn, rules.layout, &ids).await?;
        by_slug.retain(|_, id| !kept.contains_key(id));
    }
    Ok(by_slug)
}

/// The products that have all known SKUs of a product in the file, by the key in the file. Where products may
/// share a SKU, the titles must be equal too.
async fn find_by_skus<'a>(
    conn: &mut AsyncPgConnection,
    imported: &[&'a ImportedProduct],
    in_file: &KeyLines,
    rules: &Rules,
) -> QueryResult<HashMap<&'a str, ProductId>> {
    let skus: Vec<&str> = imported.iter().flat_map(|product| skus_of(product)).collect();
    if skus.is_empty() {
        return Ok(HashMap::new());
    }
    type Owner = (Option<String>, ProductId, String, String);
    let rows: Vec<Owner> = variants::table
        .inner_join(products::table)
        .filter(variants::sku.eq_any(skus))
        .select((variants::sku, products::id, products::slug, products::title))
        .load(conn)
        .await?;
    let ids: Vec<ProductId> = rows.iter().map(|(_, id, ..)| *id).collect();
    let kept = keys_of_products(conn, rules.layout, &ids).await?;
    let by_sku: HashMap<String, (ProductId, String, String)> =
        rows.into_iter().filter_map(|(sku, id, slug, title)| Some((sku?, (id, slug, title)))).collect();
    let owner_of = |product: &&'a ImportedProduct| {
        let mut owners = skus_of(product).filter_map(|sku| by_sku.get(sku));
        let (first, slug, title) = owners.next()?;
        let is_one = owners.all(|(other, ..)| other == first);
        let name = kept.get(first).unwrap_or(slug);
        let is_named = in_file.is_of_another(name, product.places.product_line);
        let is_certain = match rules.repeated_sku {
            RepeatedSku::Refuse => true,
            RepeatedSku::Drop => *title == product.title && !kept.contains_key(first),
        };
        (is_one && !is_named && is_certain).then_some((product.key.as_str(), *first))
    };
    Ok(imported.iter().filter_map(owner_of).collect())
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

/// Refuses a second product of the file that refers to the same product of the shop.
pub(super) fn claim(
    keys: &mut KeyLines,
    imported: &ImportedProduct,
    known: &Known,
) -> Result<(), ProductRefusal> {
    let name = known.name();
    let claim = Claim { line: imported.places.product_line, is_renamed: name != imported.key };
    let Some(Claim { line, .. }) = keys.claim(name, claim) else { return Ok(()) };
    let slug = &known.product.slug;
    let message =
        format!("refers to the shop's product {slug:?} by a former slug or a SKU, and so does line {line}");
    Err(ProductRefusal::Invalid(vec![FieldError { pointer: "/slug".to_owned(), message }]))
}

/// Refuses a product of another shop whose ID happens to be the same. WooCommerce counts from 1 in each shop.
pub(super) fn refuse_other(
    imported: &ImportedProduct,
    known: &Known,
    rules: &Rules,
) -> Result<(), ProductRefusal> {
    let product = &known.product;
    let has_sku = |sku: &str| product.variants.iter().any(|variant| variant.sku.as_deref() == Some(sku));
    let has_image = |url: &str| product.images.iter().any(|image| image.url == url);
    let is_alike = product.title == imported.title
        || skus_of(imported).any(has_sku)
        || imported.images.iter().any(|image| has_image(&image.url));
    if rules.layout != Layout::WooCommerce || is_alike {
        return Ok(());
    }
    let message = format!(
        "is the ID under which {:?} was imported, which has another name and other SKUs and images. Is the \
         file from another shop?",
        product.title
    );
    Err(ProductRefusal::Invalid(vec![FieldError { pointer: "/slug".to_owned(), message }]))
}

/// Refuses slugs that led to another product until now, because somebody renamed that product after it was
/// looked up.
pub(super) async fn refuse_former_slugs(
    conn: &mut AsyncPgConnection,
    slugs: &[&str],
) -> QueryResult<Result<(), ProductRefusal>> {
    let found = find_by_former_slugs(conn, slugs).await?.pop();
    Ok(found.map_or(Ok(()), |(slug, _)| Err(ProductRefusal::SlugTaken(slug))))
}

/// The slugs of new products: the given ones, and made ones with a number if they are taken.
pub(super) async fn slugs_for(
    conn: &mut AsyncPgConnection,
    new: &[&ImportedProduct],
    rules: &Rules,
) -> QueryResult<Vec<String>> {
    let wanted: Vec<&str> = new.iter().map(|product| product.slug.as_str()).collect();
    let taken = slugs_like(conn, SlugsLike::These(&wanted)).await?;
    let is_fixed = |product: &ImportedProduct| {
        product.is_slug_given && (rules.layout == Layout::Native || !taken.contains(&product.slug))
    };
    let mut assigned: BTreeSet<String> =
        new.iter().filter(|product| is_fixed(product)).map(|product| product.slug.clone()).collect();
    let mut slugs = Vec::with_capacity(new.len());
    for product in new {
        if is_fixed(product) {
            slugs.push(product.slug.clone());
            continue;
        }
        let base = product.slug.as_str();
        let slug = if taken.contains(base) || assigned.contains(base) {
            let mut similar = slugs_like(conn, SlugsLike::Numbered(base)).await?;
            similar.extend(assigned.iter().cloned());
            let similar: Vec<String> = similar.into_iter().collect();
            let mut free = slugs::candidates(base, &similar, limits::PRODUCT_SLUG_CHARS_MAX);
            free.next().unwrap_or_default()
        } else {
            base.to_owned()
        };
        assigned.insert(slug.clone());
        slugs.push(slug);
    }
    Ok(slugs)
}

enum SlugsLike<'a> {
    These(&'a [&'a str]),
    Numbered(&'a str),
}

/// Present and former slugs, which no new product may have.
async fn slugs_like(conn: &mut AsyncPgConnection, like: SlugsLike<'_>) -> QueryResult<BTreeSet<String>> {
    let (present, former) = (products::slug, former_product_slugs::slug);
    let (mut slugs, others): (Vec<String>, Vec<String>) = match like {
        SlugsLike::These(slugs) => (
            products::table.filter(present.eq_any(slugs)).select(present).load(conn).await?,
            former_product_slugs::table.filter(former.eq_any(slugs)).select(former).load(conn).await?,
        ),
        SlugsLike::Numbered(base) => {
            let numbered = slugs::numbered_pattern(base, limits::PRODUCT_SLUG_CHARS_MAX);
            let in_present = present.eq(base).or(present.like(numbered.clone()));
            let in_former = former.eq(base).or(former.like(numbered));
            (
                products::table.filter(in_present).select(present).load(conn).await?,
                former_product_slugs::table.filter(in_former).select(former).load(conn).await?,
            )
        }
    };
    slugs.extend(others);
    Ok(slugs.into_iter().collect())
}

/// Keeps the keys under which a source has products.
pub(super) async fn keep_keys(
    conn: &mut AsyncPgConnection,
    source: Layout,
    keys: &[(&str, ProductId)],
) -> QueryResult<()> {
    use product_source_keys::{key, product_id, source as source_column, table};
    if keys.is_empty() {
        return Ok(());
    }
    let row = |(own, id): &(&str, ProductId)| {
        (source_column.eq(source.as_str()), key.eq((*own).to_owned()), product_id.eq(*id))
    };
    diesel::insert_into(table)
        .values(keys.iter().map(row).collect::<Vec<_>>())
        .on_conflict_do_nothing()
        .execute(conn)
        .await
        .map(drop)
}
