//! What is needed of the routes while a request is answered: the methods of each path, the names of its
//! parameters, and the schemas of the spec. The table is made once and attached to every request.

use std::collections::{BTreeMap, BTreeSet};

use poem_openapi::OpenApi;
use poem_openapi::registry::{MetaSchema, Registry};

/// The path under which the API is served.
pub const BASE: &str = "/v1";

/// The paths of the API with their methods, and its schemas.
#[derive(Debug, Default)]
pub struct RouteTable {
    templates: Vec<Template>,
    schemas: BTreeMap<String, MetaSchema>,
}

#[derive(Debug)]
struct Template {
    path: String,
    methods: BTreeSet<String>,
}

impl RouteTable {
    /// The table of an API under [`BASE`], and of the other paths, which support reading only.
    pub fn of<Api: OpenApi>(other_paths: &[&str]) -> Self {
        let api = Api::meta().into_iter().flat_map(|api| api.paths).map(|path| Template {
            methods: path.operations.iter().map(|operation| operation.method.to_string()).collect(),
            path: format!("{BASE}{}", path.path),
        });
        let others = other_paths
            .iter()
            .map(|path| Template { path: (*path).to_owned(), methods: BTreeSet::from(["GET".to_owned()]) });
        let mut registry = Registry::new();
        Api::register(&mut registry);
        Self { templates: api.chain(others).collect(), schemas: registry.schemas }
    }

    /// The schemas of the spec by name.
    pub fn schemas(&self) -> &BTreeMap<String, MetaSchema> {
        &self.schemas
    }

    /// For the header `Allow`.
    pub fn allowed_methods(&self, path: &str) -> String {
        let mut methods = self.template_of(path).map(|template| template.methods.clone()).unwrap_or_default();
        if methods.contains("GET") {
            methods.insert("HEAD".to_owned());
        }
        methods.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// The name of the parameter at this index of the path, counted as `split('/')` does.
    pub fn parameter_at(&self, path: &str, index: usize) -> Option<&str> {
        let template = self.template_of(path)?;
        template.path.split('/').nth(index)?.strip_prefix('{')?.strip_suffix('}')
    }

    /// The name of the n-th parameter in this path, such as `variant_id`.
    pub fn path_parameter(&self, path: &str, index: usize) -> Option<&str> {
        let template = self.template_of(path)?;
        template.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).nth(index)
    }

    fn template_of(&self, path: &str) -> Option<&Template> {
        let fitting = self.templates.iter().filter(|template| template.fits(path));
        fitting.min_by_key(|template| template.path.matches('{').count())
    }
}

impl Template {
    /// A template without parameters takes precedence, as in the router.
    fn fits(&self, path: &str) -> bool {
        self.path.split('/').count() == path.split('/').count()
            && self
                .path
                .split('/')
                .zip(path.split('/'))
                .all(|(part, given)| part.starts_with('{') || part == given)
    }
}
