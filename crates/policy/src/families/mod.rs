//! Families: groups of a layer's experts whose routers ask for them together.
//!
//! A family is a prior, never a mask: it says which experts are likely to be wanted when one of them is.

mod affinity;
mod cluster;
mod co_activation;
mod prior;

pub use affinity::Affinity;
pub use cluster::cluster;
pub use co_activation::{CoActivation, Lift};
pub use prior::FamilyPrior;

/// Experts of a family, at most, where nothing else is asked for.
pub const FAMILY_SIZE: usize = 8;
