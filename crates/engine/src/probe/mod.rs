//! Short measurements of what a token is made of: reading experts, computing with weights.

mod compute;
mod disk;

pub use compute::{ComputeSpeed, measure_compute};
pub use disk::{DiskProbe, DiskSpeed};
