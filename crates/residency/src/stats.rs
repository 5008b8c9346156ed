//! What the pager has done since it opened; differences of two snapshots give a request's figures.

use std::ops::Sub;
use std::time::Duration;

use hotset_base::Bytes;

/// Running totals. Words as in ARCHITECTURE.md: a swap-in is one expert made ready by a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PagerStats {
    /// Experts made ready by a read.
    pub swap_ins: u64,
    /// Bytes those reads fetched.
    pub bytes_read: Bytes,
    /// Reads that had to be repeated.
    pub retries: u64,
    /// Time that compute waited for reads.
    pub stall: Duration,
    /// Sum over swap-ins of the time from the decision to read until ready.
    pub time_to_expert: Duration,
}

impl Sub for PagerStats {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            swap_ins: self.swap_ins - earlier.swap_ins,
            bytes_read: self.bytes_read.saturating_sub(earlier.bytes_read),
            retries: self.retries - earlier.retries,
            stall: self.stall - earlier.stall,
            time_to_expert: self.time_to_expert - earlier.time_to_expert,
        }
    }
}
