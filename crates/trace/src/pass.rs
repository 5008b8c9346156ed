//! One forward pass as a trace has it: some tokens, and every layer's visit to them.

use std::time::Duration;

use half::f16;
use hotset_base::{Choice, ExpertId, LayerId, Phase};

/// Tokens computed together: one while decoding, a chunk of a prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// What they are for.
    pub phase: Phase,
    /// Of the first token in its context.
    pub position: u32,
    /// Token ids; `None` where the source does not say.
    pub tokens: Vec<Option<u32>>,
    /// One for every layer, in order.
    pub visits: Vec<Visit>,
}

/// One layer's turn in a pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// The layer.
    pub layer: LayerId,
    /// `[experts]`: ready when the routing decision of all tokens of the pass was made.
    pub hot: Vec<bool>,
    /// Reads of the visit.
    pub reads: Reads,
    /// Time that compute waited for reads.
    pub stall: Duration,
    /// One for every token of the pass.
    pub layer_tokens: Vec<LayerToken>,
}

/// Reads of one visit, in experts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Begun because the visit wanted the expert.
    pub demand: u16,
    /// Wanted while a prefetch of it was under way.
    pub late: u16,
    /// Begun for a later layer.
    pub prefetch: u16,
}

/// One layer evaluated for one token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerToken {
    /// The chosen set in the order of the policy, with mixing weights; empty where nothing was recorded.
    pub chosen: Vec<Choice>,
    /// `[experts]`: the router's softmax; empty where the source has none.
    pub probabilities: Vec<f16>,
}

impl Visit {
    /// The expert was ready when it was chosen.
    pub fn is_hot(&self, expert: ExpertId) -> bool {
        self.hot[expert.index()]
    }
}
