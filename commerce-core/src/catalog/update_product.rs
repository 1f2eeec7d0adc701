//! Changes a product. Archiving is a change of its status. Nothing is ever deleted, because orders refer to
//! variants.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::former_slugs::leave_product_slug;
use super::image::release_files;
use super::insert_product::{
    as_position, insert_categories, insert_images, normalise_image, normalised_tags,
};
use super::lock_keys::lock_keys;
use super::lock_product::{finish_write, lock_product};
use super::product::{Image, NewImage, Product, ProductPatch, ProductStatus, variant_title};
use super::refusal::{ProductRefusal, UpdateProductError};
use super::variants::patch_variant;
use super::{check_product, description};
use crate::error::FieldErrors;
use crate::ids::{ImageId, ProductId, VariantId};
use crate::money::Currency;
use crate::schema::{product_categories, product_images, products, variants};
use crate::text::single_line;

/// Applies a patch and returns the product. With `if_version` only if the product has this version.
pub async fn update_product(
    conn: &mut AsyncPgConnection,
    id: ProductId,
    if_version: Option<i32>,
    patch: ProductPatch,
    currency: Currency,
) -> Result<Product, UpdateProductError> {
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        if patch.has_keys() {
            lock_keys(conn).await?;
        }
        let before = lock_product(conn, id, if_version).await?;
        apply_patch(conn, &before, patch, currency).await?;
        finish_write(conn, id).await
    })
    .await
}

/// Writes a patch to a locked product. The caller must then call `count_write` or [`finish_write`].
pub(super) async fn apply_patch(
    conn: &mut AsyncPgConnection,
    before: &Product,
    mut patch: ProductPatch,
    currency: Currency,
) -> Result<(), UpdateProductError> {
    patch.images.iter_mut().flatten().for_each(normalise_image);
    patch.option_names.iter_mut().flatten().for_each(|name| *name = single_line(name));
    check(before, &patch)?;
    write_row(conn, before.id, &patch).await?;
    if let Some(slug) = patch.slug.as_ref().filter(|slug| **slug != before.slug) {
        leave_product_slug(conn, before.id, &before.slug, slug).await?;
    }
    if let Some(category_ids) = &patch.category_ids {
        diesel::delete(product_categories::table.filter(product_categories::product_id.eq(before.id)))
            .execute(conn)
            .await?;
        insert_categories(conn, before.id, category_ids).await?;
    }
    if let Some(images) = &patch.images {
        replace_images(conn, before, images).await?;
    }
    if let Some(names) = &patch.option_names {
        retitle_variants(conn, before, names).await?;
    }
    if let Some(variant_patch) = patch.only_variant {
        let variant_id = only_variant(before)?;
        patch_variant(conn, before, variant_id, "", variant_patch, currency).await?;
    }
    Ok(())
}

fn check(before: &Product, patch: &ProductPatch) -> Result<(), ProductRefusal> {
    let mut errors = FieldErrors::default();
    if let Some(title) = &patch.title {
        check_product::title(&mut errors, title);
    }
    if let Some(slug) = &patch.slug {
        check_product::slug(&mut errors, slug);
    }
    if let Some(html) = &patch.description {
        check_product::description(&mut errors, html);
    }
    if let Some(Some(vendor)) = &patch.vendor {
        check_product::vendor(&mut errors, vendor);
    }
    if let Some(tags) = &patch.tags {
        check_product::tags(&mut errors, tags);
    }
    if let Some(attributes) = &patch.attributes {
        check_product::attributes(&mut errors, attributes);
    }
    if let Some(ids) = &patch.category_ids {
        check_product::category_ids(&mut errors, ids);
    }
    if let Some(images) = &patch.images {
        check_product::images(&mut errors, images, &before.images);
    }
    if let Some(names) = &patch.option_names {
        if !before.variants.is_empty() && !check_product::are_same_names(names, &before.option_names) {
            errors.push("/option_names", "must be the same names in another order: the variants use them");
        } else {
            check_product::option_names(&mut errors, names);
        }
    }
    check_product::finish(errors)
}

#[derive(AsChangeset)]
#[diesel(table_name = products)]
struct ProductChanges {
    slug: Option<String>,
    title: Option<String>,
    description: Option<String>,
    status: Option<ProductStatus>,
    vendor: Option<Option<String>>,
    tags: Option<Vec<String>>,
    attributes: Option<serde_json::Value>,
    option_names: Option<serde_json::Value>,
}

async fn write_row(conn: &mut AsyncPgConnection, id: ProductId, patch: &ProductPatch) -> QueryResult<()> {
    let changes = ProductChanges {
        slug: patch.slug.clone(),
        title: patch.title.as_deref().map(single_line),
        description: patch.description.as_deref().map(description::sanitise),
        status: patch.status,
        vendor: patch.vendor.clone().map(|vendor| vendor.map(|vendor| single_line(&vendor))),
        tags: patch.tags.as_deref().map(normalised_tags),
        attributes: patch.attributes.clone().map(serde_json::Value::Object),
        option_names: patch.option_names.as_ref().map(|names| serde_json::json!(names)),
    };
    let written = diesel::update(products::table.find(id)).set(changes).execute(conn).await;
    written.optional_empty_changeset().map(drop)
}

/// Replaces the product's images. An image that stays keeps its id.
async fn replace_images(
    conn: &mut AsyncPgConnection,
    before: &Product,
    images: &[NewImage],
) -> QueryResult<()> {
    let stays = |image: &&Image| images.iter().any(|wanted| wanted.url == image.url);
    let gone: Vec<&Image> = before.images.iter().filter(|image| !stays(image)).collect();
    let ids: Vec<ImageId> = gone.iter().map(|image| image.id).collect();
    if gone.iter().any(|image| image.is_uploaded()) {
        release_files(conn, &ids).await?;
    }
    diesel::delete(product_images::table.filter(product_images::id.eq_any(ids))).execute(conn).await?;
    for (position, image) in images.iter().enumerate() {
        let kept = before.images.iter().find(|kept| kept.url == image.url);
        match kept {
            None => insert_images(conn, before.id, position, std::slice::from_ref(image)).await?,
            Some(kept) if kept.alt == image.alt && kept.position == as_position(position) => {}
            Some(kept) => {
                diesel::update(product_images::table.find(kept.id))
                    .set((
                        product_images::alt.eq(&image.alt),
                        product_images::position.eq(as_position(position)),
                    ))
                    .execute(conn)
                    .await?;
            }
        }
    }
    Ok(())
}

/// Updates the titles of the variants, which follow the order of the options.
async fn retitle_variants(
    conn: &mut AsyncPgConnection,
    before: &Product,
    names: &[String],
) -> QueryResult<()> {
    for variant in &before.variants {
        let title = variant_title(names, &variant.options);
        if title != variant.title {
            diesel::update(variants::table.find(variant.id))
                .set(variants::title.eq(title))
                .execute(conn)
                .await?;
        }
    }
    Ok(())
}

fn only_variant(product: &Product) -> Result<VariantId, ProductRefusal> {
    match product.variants.as_slice() {
        [variant] => Ok(variant.id),
        variants => {
            let mut errors = FieldErrors::default();
            let message = format!("the product has {} variants: set it on one of them", variants.len());
            errors.push("/price", message);
            Err(ProductRefusal::Invalid(errors.into_vec()))
        }
    }
}
