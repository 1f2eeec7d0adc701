//! Creates and changes categories.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::category::{Category, CategoryPatch, NewCategory, WriteCategoryError};
use super::category_tree::lock_tree;
use super::former_slugs::{leave_category_slug, leave_category_title};
use super::lock_keys::lock_keys;
use super::{description, limits, slugs};
use crate::error::FieldErrors;
use crate::ids::CategoryId;
use crate::schema::categories;
use crate::text::single_line;

/// Creates a category. Without a slug it gets one from its title.
pub async fn create_category(
    conn: &mut AsyncPgConnection,
    new: NewCategory,
) -> Result<Category, WriteCategoryError> {
    check(new.slug.as_deref(), Some(&new.title), Some(&new.description))?;
    conn.transaction::<_, WriteCategoryError, _>(async |conn| {
        lock_keys(conn).await?;
        let tree = lock_tree(conn).await?;
        if let Some(parent) = new.parent_id {
            tree.check_parent(None, parent)?;
        }
        insert_category(conn, new).await
    })
    .await
}

/// Inserts a category that was checked, under a parent that exists.
pub(super) async fn insert_category(
    conn: &mut AsyncPgConnection,
    new: NewCategory,
) -> Result<Category, WriteCategoryError> {
    if let Some(slug) = &new.slug {
        let insert = diesel::insert_into(categories::table).values((row_of(&new), categories::slug.eq(slug)));
        return Ok(insert.returning(Category::as_returning()).get_result(conn).await?);
    }
    let base = title_slug(&new.title);
    let taken = similar_slugs(conn, &base).await?;
    for slug in slugs::candidates(&base, &taken, limits::CATEGORY_SLUG_CHARS_MAX) {
        if let Some(category) = insert_if_free(conn, &new, &slug).await? {
            return Ok(category);
        }
    }
    Err(WriteCategoryError::SlugTaken)
}

/// All columns but the slug.
#[derive(Insertable)]
#[diesel(table_name = categories)]
struct CategoryRow {
    id: CategoryId,
    parent_id: Option<CategoryId>,
    title: String,
    description: String,
    position: i32,
}

fn row_of(new: &NewCategory) -> CategoryRow {
    CategoryRow {
        id: CategoryId::new(),
        parent_id: new.parent_id,
        title: single_line(&new.title),
        description: description::sanitise(&new.description),
        position: new.position,
    }
}

/// Inserts a category that was checked, unless another has the slug.
pub(super) async fn insert_if_free(
    conn: &mut AsyncPgConnection,
    new: &NewCategory,
    slug: &str,
) -> QueryResult<Option<Category>> {
    diesel::insert_into(categories::table)
        .values((row_of(new), categories::slug.eq(slug)))
        .on_conflict(categories::slug)
        .do_nothing()
        .returning(Category::as_returning())
        .get_result(conn)
        .await
        .optional()
}

/// The slug that a category with this title gets if it is free.
pub(super) fn title_slug(title: &str) -> String {
    let reserved = slugs::RESERVED_FOR_CATEGORIES;
    if slugs::is_slug(title, limits::CATEGORY_SLUG_CHARS_MAX) && !slugs::is_reserved(title, reserved) {
        return title.to_owned();
    }
    slugs::from_title(title, "category", limits::CATEGORY_SLUG_CHARS_MAX, reserved)
}

/// Existing slugs that begin alike. A new slug must get a number that none of them has.
async fn similar_slugs(conn: &mut AsyncPgConnection, base: &str) -> QueryResult<Vec<String>> {
    let numbered = slugs::numbered_pattern(base, limits::CATEGORY_SLUG_CHARS_MAX);
    categories::table
        .filter(categories::slug.eq(base).or(categories::slug.like(numbered)))
        .select(categories::slug)
        .load(conn)
        .await
}

#[derive(AsChangeset)]
#[diesel(table_name = categories)]
struct CategoryChanges {
    slug: Option<String>,
    title: Option<String>,
    description: Option<String>,
    position: Option<i32>,
    parent_id: Option<Option<CategoryId>>,
}

/// Applies a patch. With `if_version` only if the category has this version.
pub async fn update_category(
    conn: &mut AsyncPgConnection,
    id: CategoryId,
    if_version: Option<i32>,
    patch: CategoryPatch,
) -> Result<Category, WriteCategoryError> {
    check(patch.slug.as_deref(), patch.title.as_deref(), patch.description.as_deref())?;
    conn.transaction::<_, WriteCategoryError, _>(async |conn| {
        if patch.has_keys() {
            lock_keys(conn).await?;
        }
        if patch.parent_id.is_some() || patch.has_keys() {
            let tree = lock_tree(conn).await?;
            if let Some(Some(parent)) = patch.parent_id {
                tree.check_parent(Some(id), parent)?;
            }
        }
        let known: Option<(i32, String, String)> = categories::table
            .find(id)
            .select((categories::version, categories::slug, categories::title))
            .for_no_key_update()
            .first(conn)
            .await
            .optional()?;
        let (current, former_slug, former_title) = known.ok_or(WriteCategoryError::UnknownCategory)?;
        if if_version.is_some_and(|version| version != current) {
            return Err(WriteCategoryError::VersionMismatch { current });
        }
        let new_slug = patch.slug.clone().filter(|slug| *slug != former_slug);
        let changes = CategoryChanges {
            slug: patch.slug,
            title: patch.title.map(|title| single_line(&title)),
            description: patch.description.as_deref().map(description::sanitise),
            position: patch.position,
            parent_id: patch.parent_id,
        };
        let updated: Category = diesel::update(categories::table.find(id))
            .set((
                changes,
                categories::version.eq(categories::version + 1),
                categories::updated_at.eq(crate::db::clock()),
            ))
            .returning(Category::as_returning())
            .get_result(conn)
            .await?;
        if let Some(new_slug) = new_slug {
            leave_category_slug(conn, id, &former_slug, &new_slug).await?;
        }
        if updated.title != former_title {
            leave_category_title(conn, id, &former_title, &updated.title).await?;
        }
        Ok(updated)
    })
    .await
}

fn check(slug: Option<&str>, title: Option<&str>, html: Option<&str>) -> Result<(), WriteCategoryError> {
    let mut errors = FieldErrors::default();
    if slug.is_some_and(|slug| !slugs::is_slug(slug, limits::CATEGORY_SLUG_CHARS_MAX)) {
        errors.push("/slug", "must be lower-case letters and digits in words joined by hyphens");
    }
    if slug.is_some_and(|slug| slugs::is_reserved(slug, slugs::RESERVED_FOR_CATEGORIES)) {
        errors.push("/slug", "is reserved; choose another");
    }
    if let Some(title) = title {
        errors.check_text("/title", &single_line(title), 1..=limits::CATEGORY_TITLE_CHARS_MAX);
    }
    if let Some(html) = html {
        description::check(&mut errors, "/description", html, limits::CATEGORY_DESCRIPTION_BYTES_MAX);
    }
    if errors.is_empty() { Ok(()) } else { Err(WriteCategoryError::Invalid(errors.into_vec())) }
}
