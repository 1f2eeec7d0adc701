//! Commerce core.
