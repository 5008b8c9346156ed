//! Model files: what is in them and where, checked before anything is allocated or believed.
//!
//! Owns the readers of the three formats (Hugging Face directory, GGUF, packed store) and the
//! writers of store and GGUF; all three end in one [`Checkpoint`]. It must never read weights but to tell
//! models apart, never allocate more than the bytes that remain in the file, never panic on any input,
//! and never contain `unsafe`.
#![forbid(unsafe_code)]

mod assemble;
mod checkpoint;
mod directory;
mod error;
mod file;
pub mod gguf;
pub mod huggingface;
mod identity;
mod named_templates;
mod open;
mod other_forms;
mod printable;
mod rope_scaling;
mod special;
mod stamp;
mod stand_in;
pub mod store;
mod vocabulary;

pub use checkpoint::{
    AddedToken, Checkpoint, DenseLayer, DenseTensors, ExpertParts, ModelConfig, Origin, TensorSlice,
    TokenizerSpec,
};
pub use error::FormatError;
pub use file::{ModelFile, read_extent};
pub use identity::identity;
pub use open::open;
pub use rope_scaling::{RopeScaling, Yarn};
pub use special::SpecialTokens;
pub use stamp::Stamp;
