//! Every operation of the spec under bad input: each body, field, parameter and header wrong in every way that we know of.
//!
//! Whatever is sent, the answer is never a 5xx, always one that the spec declares for the operation, points at what is
//! wrong, and a refused request has changed nothing in any table.

mod bodies;
mod methods;
mod parameters;
mod walk;
