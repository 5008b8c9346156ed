//! Short measurements of what a token is made of: reading experts, computing with weights.

mod compute;
mod disk;
mod kernels;
mod weights;

pub use compute::{ComputeSpeed, measure_compute};
pub use disk::{DiskProbe, DiskSpeed};
pub use kernels::{KernelSpeed, measure_kernels};
