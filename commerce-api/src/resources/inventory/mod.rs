//! Stock: levels and their ledger, what is low, files, transfers, and the places where stock is kept.

pub mod export;
pub mod import;
pub mod levels;
pub mod locations;
pub mod low_stock;
pub mod movements;
pub mod transfers;
pub mod variant_stock;
