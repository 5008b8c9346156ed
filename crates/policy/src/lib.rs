//! Decisions: which experts a token uses, which are read before they are chosen, and what an expert in the
//! arena is worth; what they rest on: contexts and families.
//!
//! Owns pure state machines: events in, decisions out. It must never read a clock, do I/O, start a thread or
//! draw randomness that was not passed in, so that a replay of a trace routes and weighs experts by the very
//! code of the live engine. (Who must stay whatever it is worth is the pager's rule, and the replay's by
//! itself.)
#![forbid(unsafe_code)]

pub mod contexts;
pub mod evict;
pub mod families;
pub mod prefetch;
mod record;
pub mod route;

pub use record::Record;
