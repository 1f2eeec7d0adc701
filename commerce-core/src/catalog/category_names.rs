//! How a file names a category, and the category that it means. Names are compared as they stand: `C#` and
//! `C++` have the same slug and are two categories.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::category::{Category, NewCategory, WriteCategoryError};
use super::category_tree::lock_tree;
use super::write_category::{insert_category, insert_if_free, title_slug};
use super::{limits, slugs};
use crate::ids::CategoryId;
use crate::schema::{categories, former_category_slugs, former_category_titles};
use crate::text::single_line;

/// The name of a category in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CategoryName {
    /// A title, on any level of the tree.
    Title(String),
    /// A slug, and the title for a category that does not exist yet.
    Slug {
        /// The present or a former slug.
        slug: String,
        /// What shoppers read.
        title: String,
    },
    /// Titles from the top level down.
    Path(Vec<String>),
}

impl CategoryName {
    /// The titles in it.
    pub fn titles(&self) -> &[String] {
        match self {
            Self::Title(title) | Self::Slug { title, .. } => std::slice::from_ref(title),
            Self::Path(titles) => titles,
        }
    }

    /// With its titles in the form in which titles are stored.
    pub(super) fn normalised(self) -> Self {
        match self {
            Self::Title(title) => Self::Title(single_line(&title)),
            Self::Slug { slug, title } => Self::Slug { slug, title: single_line(&title) },
            Self::Path(titles) => Self::Path(titles.iter().map(|title| single_line(title)).collect()),
        }
    }

    /// What is wrong with it, for people.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let is_long = |title: &String| title.chars().count() > limits::CATEGORY_TITLE_CHARS_MAX;
        let is_slug = |slug: &str| {
            slugs::is_slug(slug, limits::CATEGORY_SLUG_CHARS_MAX)
                && !slugs::is_reserved(slug, slugs::RESERVED_FOR_CATEGORIES)
        };
        match self {
            Self::Slug { slug, .. } if !is_slug(slug) => Some("has a slug that cannot be used"),
            Self::Path(titles) if titles.len() > limits::CATEGORY_LEVELS_MAX => Some("is too deep"),
            _ if self.titles().iter().any(is_long) => Some("has a title that is too long"),
            _ => None,
        }
    }
}

impl std::fmt::Display for CategoryName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.titles().join(" > "))
    }
}

/// The categories that exist, by name.
pub(super) async fn find_by_names<'a>(
    conn: &mut AsyncPgConnection,
    names: &BTreeSet<&'a CategoryName>,
) -> QueryResult<HashMap<&'a CategoryName, CategoryId>> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let known = Known::load(conn, names).await?;
    Ok(names.iter().filter_map(|name| Some((*name, known.find(name)?))).collect())
}

/// The category of this name, created if there is none. Of a path all that is missing is created.
pub(super) async fn find_or_create(
    conn: &mut AsyncPgConnection,
    name: &CategoryName,
) -> Result<CategoryId, WriteCategoryError> {
    if let Some(id) = find(conn, name).await? {
        return Ok(id);
    }
    let new = |slug: Option<&String>, title: &String, parent_id| NewCategory {
        slug: slug.cloned(),
        title: title.clone(),
        parent_id,
        ..NewCategory::default()
    };
    match name {
        CategoryName::Title(title) => {
            let new = new(None, title, None);
            if let Some(category) = insert_if_free(conn, &new, &title_slug(title)).await? {
                return Ok(category.id);
            }
            // Somebody else may have created it in the meantime.
            match find(conn, name).await? {
                Some(id) => Ok(id),
                None => Ok(insert_category(conn, new).await?.id),
            }
        }
        CategoryName::Slug { slug, title } => {
            Ok(insert_category(conn, new(Some(slug), title, None)).await?.id)
        }
        CategoryName::Path(titles) => {
            // Nobody moves a category of the path, or deletes it, while another is added below it.
            lock_tree(conn).await?;
            let mut parent: Option<CategoryId> = None;
            for depth in 1..=titles.len() {
                let Some((title, above)) = titles.get(..depth).and_then(<[String]>::split_last) else {
                    break;
                };
                let path = CategoryName::Path([above, std::slice::from_ref(title)].concat());
                parent = Some(match find(conn, &path).await? {
                    Some(id) => id,
                    None => insert_category(conn, new(None, title, parent)).await?.id,
                });
            }
            parent.ok_or(WriteCategoryError::UnknownCategory)
        }
    }
}

async fn find(conn: &mut AsyncPgConnection, name: &CategoryName) -> QueryResult<Option<CategoryId>> {
    Ok(find_by_names(conn, &BTreeSet::from([name])).await?.remove(name))
}

/// The categories that names may mean.
struct Known {
    /// Sorted by age.
    titled: Vec<Category>,
    former_titles: HashMap<String, CategoryId>,
    slugs: HashMap<String, CategoryId>,
}

impl Known {
    async fn load(conn: &mut AsyncPgConnection, names: &BTreeSet<&CategoryName>) -> QueryResult<Self> {
        let titles: BTreeSet<&String> = names.iter().flat_map(|name| name.titles()).collect();
        let titles: Vec<&String> = titles.into_iter().collect();
        let titled = categories::table
            .filter(categories::title.eq_any(&titles))
            .order(categories::id)
            .select(Category::as_select())
            .load(conn)
            .await?;
        let former: Vec<(String, CategoryId)> = former_category_titles::table
            .filter(former_category_titles::title.eq_any(&titles))
            .select((former_category_titles::title, former_category_titles::category_id))
            .load(conn)
            .await?;
        let given = names.iter().filter_map(|name| match name {
            CategoryName::Slug { slug, .. } => Some(slug),
            CategoryName::Title(_) | CategoryName::Path(_) => None,
        });
        let slugs = Self::load_slugs(conn, given.collect()).await?;
        Ok(Self { titled, former_titles: former.into_iter().collect(), slugs })
    }

    async fn load_slugs(
        conn: &mut AsyncPgConnection,
        slugs: Vec<&String>,
    ) -> QueryResult<HashMap<String, CategoryId>> {
        if slugs.is_empty() {
            return Ok(HashMap::new());
        }
        let former: Vec<(String, CategoryId)> = former_category_slugs::table
            .filter(former_category_slugs::slug.eq_any(&slugs))
            .select((former_category_slugs::slug, former_category_slugs::category_id))
            .load(conn)
            .await?;
        let present: Vec<(String, CategoryId)> = categories::table
            .filter(categories::slug.eq_any(&slugs))
            .select((categories::slug, categories::id))
            .load(conn)
            .await?;
        Ok(former.into_iter().chain(present).collect())
    }

    /// If several categories have a title, the one with the slug of the title is meant, or else the uppermost
    /// and oldest.
    fn find(&self, name: &CategoryName) -> Option<CategoryId> {
        match name {
            CategoryName::Slug { slug, .. } => self.slugs.get(slug).copied(),
            CategoryName::Path(titles) => titles.iter().try_fold(None, |parent, title| {
                let is_meant = |known: &&Category| known.title == *title && known.parent_id == parent;
                self.titled.iter().find(is_meant).map(|known| Some(known.id))
            })?,
            CategoryName::Title(title) => {
                let base = title_slug(title);
                let with_title = self.titled.iter().filter(|known| known.title == *title);
                let rank = |known: &&Category| (known.slug != base, known.parent_id.is_some(), known.id);
                let present = with_title.min_by_key(rank).map(|known| known.id);
                present.or_else(|| self.former_titles.get(title).copied())
            }
        }
    }
}
