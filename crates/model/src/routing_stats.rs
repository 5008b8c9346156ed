//! What routing did, counted for every layer-token. Words as in ARCHITECTURE.md.

use std::ops::Sub;

use hotset_policy::route::{Decision, Fate, RegretByKind, fates};

/// Running totals; differences of two snapshots give a request's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoutingStats {
    /// Native experts.
    pub native_picks: u64,
    /// Their mass.
    pub native_mass: f64,
    /// Native experts that were chosen.
    pub agreed_picks: u64,
    /// Chosen experts.
    pub routed_picks: u64,
    /// Of those, hot ones.
    pub hot_picks: u64,
    /// Native experts that were not hot.
    pub missed_picks: u64,
    /// Native experts that were not hot or not chosen, by what became of them.
    pub regret: RegretByKind,
}

impl RoutingStats {
    /// Hot chosen picks / chosen picks; 1 when nothing was routed.
    pub fn hit_rate(&self) -> f64 {
        ratio(self.hot_picks as f64, self.routed_picks as f64, 1.0)
    }

    /// Native picks chosen / native picks; 1 when nothing was routed.
    pub fn agreement(&self) -> f64 {
        ratio(self.agreed_picks as f64, self.native_picks as f64, 1.0)
    }

    /// Native picks not hot / native picks; 0 when nothing was routed.
    pub fn regret_rate(&self) -> f64 {
        ratio(self.missed_picks as f64, self.native_picks as f64, 0.0)
    }

    /// The share of the native mass that was not computed; 0 when nothing was routed.
    pub fn mass_lost(&self) -> f64 {
        ratio(self.regret.lost().mass, self.native_mass, 0.0)
    }

    /// Counts one layer-token. `hot`: `[experts]`.
    pub(crate) fn count(&mut self, decision: &Decision, hot: &[bool]) {
        self.routed_picks += decision.chosen.len() as u64;
        self.hot_picks += decision.chosen.iter().filter(|c| hot[c.expert.index()]).count() as u64;
        for (native, fate) in fates(&decision.native, &decision.chosen, hot) {
            self.native_picks += 1;
            self.native_mass += f64::from(native.weight);
            self.agreed_picks += u64::from(matches!(fate, Fate::Hit | Fate::Waited));
            self.missed_picks += u64::from(!hot[native.expert.index()]);
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
            native_picks: self.native_picks - earlier.native_picks,
            native_mass: self.native_mass - earlier.native_mass,
            agreed_picks: self.agreed_picks - earlier.agreed_picks,
            routed_picks: self.routed_picks - earlier.routed_picks,
            hot_picks: self.hot_picks - earlier.hot_picks,
            missed_picks: self.missed_picks - earlier.missed_picks,
            regret: self.regret - earlier.regret,
        }
    }
}
