//! Routing: from a router's scores to the chosen set of one layer-token.

mod native;

use hotset_base::{ExpertId, LayerId};

pub use native::Native;

/// One chosen expert and its mixing weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The expert.
    pub expert: ExpertId,
    /// Its share of the layer's output.
    pub weight: f32,
}

impl Choice {
    /// A placeholder to size buffers with.
    pub const NONE: Self = Self { expert: ExpertId(0), weight: 0.0 };
}

/// The router's scores were not numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the router of layer {0} gave scores that are not finite numbers: the weights or the input of that layer are damaged; run `hotset verify`"
)]
pub struct NotFinite(pub LayerId);

/// A routing policy.
pub trait Route: Send {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// Chooses `out.len()` experts for one layer-token, in rank order (largest native weight first).
    ///
    /// `logits`: `[experts]`, before the softmax. `hot`: `[experts]`, which of them are ready now.
    fn route(
        &mut self,
        layer: LayerId,
        logits: &[f32],
        hot: &[bool],
        out: &mut [Choice],
    ) -> Result<(), NotFinite>;
}
