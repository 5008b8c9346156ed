//! Models without training: random weights of any Qwen3-MoE shape with planted routing, so that speed,
//! memory and paging are those of a real model of that shape. What such a model writes is noise.
//!
//! Top to bottom: a shape ([`preset`]), its tensors, the planted text that decides which token follows
//! which, what the residual stream holds, the rows of weights made from all that, and the writing.

mod blocks;
mod calibration;
mod geometry;
mod random;
mod residual;
mod routing;
mod tensors;
mod text;
mod vocabulary;
mod weights;
mod write;

pub use geometry::{PRESETS, preset, seed_of};
pub use routing::{Figure, RoutingLog, TOLERANCE};
pub use text::PlantedText;
pub use write::{SynthFormat, SynthReport, synth, synth_bytes};
