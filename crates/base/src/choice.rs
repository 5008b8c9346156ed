//! What is chosen for a token of a layer, and what it did.

use crate::ExpertId;

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

/// What an expert did for a token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contribution {
    /// The expert.
    pub expert: ExpertId,
    /// Its mixing weight.
    pub weight: f32,
    /// `weight * ||E(x)|| / ||sum||`, with the sum over all chosen experts of the token.
    pub share: f32,
}
