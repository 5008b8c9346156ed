//! What routing did, counted for every layer-token. Words as in ARCHITECTURE.md.

use std::ops::Sub;

use hotset_policy::route::{Decision, Fate, RegretByKind, fates};

/// Running totals; differences of two snapshots give a request's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoutingStats {
    /// Native experts.
    pub native_slots: u64,
    /// Their mass.
    pub native_mass: f64,
    /// Native experts that were chosen.
    pub agreed_slots: u64,
    /// Chosen experts.
    pub routed_slots: u64,
    /// Of those, hot ones.
    pub hot_slots: u64,
    /// Native experts that were not hot.
    pub missed_slots: u64,
    /// Native experts that were not hot or not chosen, by what became of them.
    pub regret: RegretByKind,
}

impl RoutingStats {
    /// Hot chosen slots / chosen slots; 1 when nothing was routed.
    pub fn hit_rate(&self) -> f64 {
        ratio(self.hot_slots as f64, self.routed_slots as f64, 1.0)
    }

    /// Native slots chosen / native slots; 1 when nothing was routed.
    pub fn agreement(&self) -> f64 {
        ratio(self.agreed_slots as f64, self.native_slots as f64, 1.0)
    }

    /// Native slots not hot / native slots; 0 when nothing was routed.
    pub fn regret_rate(&self) -> f64 {
        ratio(self.missed_slots as f64, self.native_slots as f64, 0.0)
    }

    /// The share of the native mass that was not computed; 0 when nothing was routed.
    pub fn mass_lost(&self) -> f64 {
        ratio(self.regret.lost().mass, self.native_mass, 0.0)
    }

    /// Counts one layer-token. `hot`: `[experts]`.
    pub(crate) fn count(&mut self, decision: &Decision, hot: &[bool]) {
        self.routed_slots += decision.chosen.len() as u64;
        self.hot_slots += decision.chosen.iter().filter(|c| hot[c.expert.index()]).count() as u64;
        for (native, fate) in fates(&decision.native, &decision.chosen, hot) {
            self.native_slots += 1;
            self.native_mass += f64::from(native.weight);
            self.agreed_slots += u64::from(matches!(fate, Fate::Hit | Fate::Waited));
            self.missed_slots += u64::from(!hot[native.expert.index()]);
            self.regret.count(fate, f64::from(native.weight));
        }
    }
}

fn ratio(part: f64, whole: f64, empty: f64) -> f64 {
    if whole == 0.0 { empty } else { part / whole }
}

impl Sub for RoutingStats {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            native_slots: self.native_slots - earlier.native_slots,
            native_mass: self.native_mass - earlier.native_mass,
            agreed_slots: self.agreed_slots - earlier.agreed_slots,
            routed_slots: self.routed_slots - earlier.routed_slots,
            hot_slots: self.hot_slots - earlier.hot_slots,
            missed_slots: self.missed_slots - earlier.missed_slots,
            regret: self.regret - earlier.regret,
        }
    }
}
