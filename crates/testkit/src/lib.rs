//! Tiny random models in every format, and a plain implementation to compare with. For tests only.
//!
//! Owns the writers of Hugging Face directories and GGUF files that the readers are tested with, so it
//! shares no code with those readers (with the GGUF writer it shares how a pair is written).
#![forbid(unsafe_code)]

mod claim;
mod forms;
mod gguf;
mod hub;
pub mod naive;
mod random;
mod tiny;

pub use claim::{claim, claim_repeated};
pub use gguf::GgufBuilder;
pub use random::Random;
pub use tiny::{TinyModel, TinyShape, TinyTensor};
