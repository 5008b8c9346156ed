//! The Qwen3-MoE forward pass: tokens in, logits out, experts borrowed from the pager.
//!
//! Owns the dense weights, the KV caches, the scratch buffers and the order of the computation; with it the
//! prediction of later layers, what is learnt of contexts, and the counts of picks and stages. It must never
//! read a file after loading, but for rows of an embedding table that stays on disk, choose a token, or sum
//! experts in the order they arrived.
#![forbid(unsafe_code)]

mod attention;
mod caches;
mod dense;
mod embedding;
mod error;
mod experts;
mod kv_cache;
mod learning;
mod learnt_predictor;
mod loader;
mod observe;
mod predict;
mod probe;
mod qwen3_moe;
mod rope;
mod scratch;
mod stage_clock;

pub use caches::Caches;
pub use dense::{DenseWeights, EmbeddingPlace};
pub use error::{ForwardError, LoadError};
use kv_cache::KvCache;
pub use kv_cache::{KvType, KvTypes};
pub use learning::KeepContexts;
pub use learnt_predictor::Predictor;
pub use observe::{LayerVisit, Observe};
pub use predict::CoarseRouters;
pub use probe::RouterProbe;
pub use qwen3_moe::Qwen3Moe;
pub use scratch::{Activations, Scratch};
