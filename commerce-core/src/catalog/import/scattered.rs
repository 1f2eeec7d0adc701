//! Products whose rows stand anywhere in a file. They are kept in memory until its end.

use std::collections::HashMap;

use super::findings::{Findings, LineError};
use super::group::Group;
use super::line::Line;

/// The products, and the rows that wait for them.
#[derive(Default)]
pub(super) struct Scattered {
    groups: Vec<Group>,
    /// The place in `groups` by each of the references.
    places: HashMap<String, usize>,
    children: Vec<Child>,
}

struct Child {
    reference: String,
    line: u64,
    read: Line,
    errors: Vec<LineError>,
}

impl Scattered {
    /// Begins a product, which other rows name by these references.
    pub fn begin(&mut self, group: Group, references: Vec<String>) {
        let place = self.groups.len();
        for reference in references {
            self.places.entry(reference).or_insert(place);
        }
        self.groups.push(group);
    }

    /// Adds a row to a product that may begin later.
    pub fn add(&mut self, reference: String, line: u64, read: Line, errors: Vec<LineError>) {
        self.children.push(Child { reference, line, read, errors });
    }

    /// All products in the order of the file. Rows of products that the file does not have are errors in
    /// `column`. The second value is their number.
    pub fn finish(&mut self, column: &str, found: &mut Findings) -> (Vec<Group>, usize) {
        let mut groups = std::mem::take(&mut self.groups);
        let mut lost = 0;
        for child in std::mem::take(&mut self.children) {
            let place = self.places.get(&child.reference);
            let Some(group) = place.and_then(|place| groups.get_mut(*place)) else {
                lost += 1;
                let message = format!(
                    "{:?} is neither the SKU nor the ID of a variable product of this file",
                    child.reference
                );
                found.errors.push(LineError { line: child.line, column: column.to_owned(), message });
                continue;
            };
            child.errors.iter().for_each(|error| group.mark_faulty(error));
            group.add(child.line, child.read);
        }
        (groups, lost)
    }
}
