//! The routing policies with their parameters.

use hotset_base::Families;

use super::{
    CachePrior, CachePriorOptions, Drop, DropOptions, Native, Route, RouterShape, Strict, StrictOptions,
    Trust, TrustOptions,
};

/// A policy and its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum RouterOptions {
    /// The model's own choice.
    #[default]
    Native,
    /// A bonus for held experts.
    CachePrior(CachePriorOptions),
    /// Light experts that are not held are left out.
    Drop(DropOptions),
    /// Reads what its absence would cost more than.
    Trust(TrustOptions),
    /// A few experts per layer, chosen again every window.
    Strict(StrictOptions),
}

impl RouterOptions {
    /// The policy for a model; `families` has one partition for every layer, or nothing.
    pub fn build(self, shape: RouterShape, families: &[Families]) -> Box<dyn Route> {
        match self {
            Self::Native => Box::new(Native::new(shape)),
            Self::CachePrior(options) => Box::new(CachePrior::new(shape, options)),
            Self::Drop(options) => Box::new(Drop::new(shape, options)),
            Self::Trust(options) => Box::new(Trust::new(shape, options)),
            Self::Strict(options) => Box::new(Strict::new(shape, options, families)),
        }
    }

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::CachePrior(_) => "cache-prior",
            Self::Drop(_) => "drop",
            Self::Trust(_) => "trust",
            Self::Strict(_) => "strict",
        }
    }

    /// Whether what experts were measured to do changes anything.
    pub fn wants_contributions(self) -> bool {
        matches!(self, Self::Trust(options) if options.wants_contributions())
    }

    /// Whether families change anything.
    pub fn wants_families(self) -> bool {
        matches!(self, Self::Strict(options) if options.family_share > 0.0)
    }

    /// As [`Route::is_lossy`] of the policy built.
    pub fn is_lossy(self) -> bool {
        match self {
            Self::Native => false,
            Self::CachePrior(options) => options.is_lossy(),
            Self::Drop(options) => options.is_lossy(),
            Self::Trust(options) => options.is_lossy(),
            Self::Strict(_) => true,
        }
    }
}
