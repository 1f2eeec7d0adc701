//! The API over HTTP, on a database of its own for each test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod accounts;
mod admin_users;
mod audit_log;
mod bad_input;
mod browser_tests;
mod catalogue_admin;
mod connections;
mod contact;
mod cookies;
mod edge;
mod email_change;
mod enumeration;
mod images;
mod job_board;
mod languages;
mod long_tests;
mod members;
#[path = "../peers/moto.rs"]
mod moto;
mod order_steps;
mod orders_by_phone;
mod parcels;
mod passwords;
mod permissions;
mod processes;
mod products;
mod profile;
mod provider_payments;
mod provider_webhooks;
#[path = "../peers/providers.rs"]
mod providers;
mod rate_limits;
mod readers;
mod registrations;
mod returns;
mod s3;
mod search;
mod second_factor;
mod sessions;
mod shop;
mod shopping;
mod shopping_at_once;
mod spec;
mod staff_money;
mod statements;
mod stock;
mod storm;
mod surface;
mod typed_text;
mod variant_details;
#[allow(dead_code, reason = "each program of tests uses a part of it")]
mod webdriver;
mod webhooks;
mod world;
mod writes;
