//! What routing did, counted for every layer-token. Words as in ARCHITECTURE.md.

use std::ops::Sub;

/// Running totals; differences of two snapshots give a request's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoutingStats {
    /// Chosen experts.
    pub routed_slots: u64,
    /// Of those, hot ones.
    pub hot_slots: u64,
    /// Native experts that were not hot and were waited for.
    pub waited_slots: u64,
    /// Their native router mass.
    pub waited_mass: f64,
}

impl RoutingStats {
    /// Hot chosen slots / chosen slots; 1 when nothing was routed.
    pub fn hit_rate(&self) -> f64 {
        if self.routed_slots == 0 { 1.0 } else { self.hot_slots as f64 / self.routed_slots as f64 }
    }
}

impl Sub for RoutingStats {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            routed_slots: self.routed_slots - earlier.routed_slots,
            hot_slots: self.hot_slots - earlier.hot_slots,
            waited_slots: self.waited_slots - earlier.waited_slots,
            waited_mass: self.waited_mass - earlier.waited_mass,
        }
    }
}
