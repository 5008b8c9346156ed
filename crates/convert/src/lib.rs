//! Turning checkpoints into stores, and making models out of nothing.
//!
//! Owns the choice of weight types (recipes), the packing itself and synthetic models: bounded
//! memory, all cores, complete or nothing. It must never run a model, and never write a store from a
//! checkpoint that the readers have not checked whole.
#![forbid(unsafe_code)]

mod error;
mod families;
mod pack;
mod recipe;
pub mod synth;

pub use error::PackError;
pub use families::{families, router_affinity};
pub use hotset_policy::families::{Affinity, CoActivation, FAMILY_SIZE, Lift, cluster};
pub use pack::{PackOptions, PackReport, pack};
pub use recipe::Recipe;
