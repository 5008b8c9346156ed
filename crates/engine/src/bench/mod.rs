//! Repeated runs of a fixed amount of work, and what they say.

mod floor;
mod repetition;
mod statistics;

pub use floor::{Bound, Floor, TokenBytes};
pub use repetition::{Repetition, Workload};
pub use statistics::{Spread, percentile};
