//! Turning checkpoints into stores.
//!
//! Owns the choice of weight types (recipes) and the packing itself: bounded memory, all cores,
//! complete or nothing. It must never run a model, and never write a store from a checkpoint that
//! the readers have not checked whole.
#![forbid(unsafe_code)]

mod error;
mod pack;
mod recipe;

pub use error::PackError;
pub use pack::{PackOptions, PackReport, pack};
pub use recipe::Recipe;
