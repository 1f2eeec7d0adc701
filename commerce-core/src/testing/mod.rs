//! For tests, of this workspace and of programs that link it (feature `testing`).

mod database;

pub use database::TestDatabase;
