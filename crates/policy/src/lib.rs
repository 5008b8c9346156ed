//! Decisions: which experts a token uses, and which expert leaves the arena.
//!
//! Owns pure state machines: events in, decisions out. It must never read a clock, do I/O, start a
//! thread or draw randomness that was not passed in, so that a replay of a trace runs the very code
//! of the live engine.
#![forbid(unsafe_code)]

pub mod contexts;
pub mod evict;
pub mod families;
pub mod prefetch;
mod record;
pub mod route;

pub use record::Record;
