//! Routing: from a router's scores to the chosen set of one layer-token.

mod bucket;
mod cache_prior;
mod config;
mod decision;
mod drop;
mod native;
mod regret;
mod scale;
mod strict;
mod trust;

use hotset_base::{Bytes, ExpertId, LayerId, Phase};

use crate::Record;

pub use cache_prior::{CachePrior, CachePriorOptions};
pub use config::RouterOptions;
pub use decision::Decision;
pub use drop::{Drop, DropOptions};
pub use native::Native;
pub use regret::count;
pub use strict::{Strict, StrictOptions};
pub use trust::{Trust, TrustOptions};

/// The router's scores were not numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the router of layer {0} gave scores that are not finite numbers: the weights or the input of that layer are damaged"
)]
pub struct NotFinite(pub LayerId);

/// Shape of the routers of one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouterShape {
    /// Layers.
    pub layers: usize,
    /// Experts of a layer.
    pub experts: usize,
    /// Experts per token.
    pub top_k: usize,
    /// Whether the chosen weights are renormalised to sum 1.
    pub norm_topk: bool,
    /// Slots of the arena per layer, on average.
    pub slots: f32,
}

/// One layer-token as a policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    /// The layer.
    pub layer: LayerId,
    /// Tokens computed before this one, by this engine.
    pub tokens_routed: u64,
    /// Tokens computed before the pass that this one is in: those of a pass wait for the same reads.
    pub pass: u64,
    /// What the token is for. The experts of a prompt are paged once for a whole chunk, so lossy policies
    /// save little there, and everything later rests on it: they choose as the model does, and learn.
    pub phase: Phase,
    /// `[experts]`, before the softmax.
    pub logits: &'a [f32],
    /// `[experts]`: in the arena, or being read into it.
    pub held: &'a [bool],
    /// What reading one expert of this layer fetches.
    pub expert_bytes: Bytes,
    /// Microseconds that reading one expert is expected to take; 0 while unknown.
    pub read_us: f32,
    /// `[experts]`: what is known of them in the present context; empty without a trust ledger.
    pub records: &'a [Record],
}

/// A routing policy: a pure state machine with tables of fixed size.
pub trait Route: Send {
    /// Chooses the experts of one layer-token. `out` comes as the one before left it.
    ///
    /// Tokens come in order, each through all layers; those of one pass layer by layer.
    fn route(&mut self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite>;

    /// What it would choose for certain of one layer-token to come, by these scores: what of that is not held
    /// is prefetched. It may choose more when the time comes (trust: substitutes, and the last resort of a
    /// layer with nothing held). Learns nothing from it. `out` comes as the one before left it.
    fn foresee(&self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite>;

    /// A pass is about to begin: notes what is known, for [`Route::go_back`]. Must not allocate.
    fn mark(&mut self) {}

    /// The pass has failed and will be tried again: what it taught is forgotten.
    fn go_back(&mut self) {}

    /// An expert that was to be admitted found no place: what its absence has cost is still owed, and the
    /// bytes are not read.
    fn refused(&mut self, _layer: LayerId, _expert: ExpertId, _bytes: Bytes) {}

    /// Whether the chosen set may differ from the native one: what is held then decides what is computed.
    fn is_lossy(&self) -> bool;

    /// Whether contexts are to be told what the chosen experts do; measuring it costs a pass over the
    /// outputs.
    fn wants_contributions(&self) -> bool {
        false
    }
}
