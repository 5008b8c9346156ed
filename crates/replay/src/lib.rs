//! Replay: what a cache of experts would have done with a recorded run.
//!
//! Owns the simulator: the eviction and routing policies of the live engine (`policy`), run over a trace, and
//! the clairvoyant cache that bounds them. It must never have a policy of its own that the engine could use,
//! nor print.
#![forbid(unsafe_code)]

mod belady;
mod cache;
mod demand;
mod error;
mod order;
mod outcome;
mod policy;
mod router;
mod simulate;

pub use demand::{Demand, Part};
pub use error::ReplayError;
pub use outcome::Outcome;
pub use policy::{Eviction, ParsePolicyError, ReplayPolicy, Scope};
pub use router::RouterMaker;
pub use simulate::{Setting, replay, replay_all};
