//! A model opened under a memory budget, and the conversations held with it.
//!
//! Owns the plan, the opening of everything in its order, the generation loop, scoring and the
//! figures of a run. It must never print, parse arguments, or know an async runtime; the commands
//! and the server see [`Engine`] and [`Session`], never tensors.
#![forbid(unsafe_code)]

mod engine;
mod error;
mod figures;
mod generate;
mod machine;
mod perplexity;
mod plan;
mod session;

pub use engine::Engine;
pub use error::EngineError;
pub use figures::{Figures, PhaseFigures};
pub use generate::{Finish, Generation, Listener};
pub use machine::{available_memory, peak_memory, resident_memory};
pub use perplexity::{Perplexity, Windowing, perplexity};
pub use plan::{BudgetSource, DEFAULT_HALF_LIFE, EngineOptions, Plan, PlanError};
pub use session::Session;
