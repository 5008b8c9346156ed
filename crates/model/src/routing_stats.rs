//! What routing did, counted for every layer-token. Words as in ARCHITECTURE.md.

use std::ops::{Add, Sub};

use hotset_policy::route::Decision;

/// Routed slots, and the native router mass that was in them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regret {
    /// Native slots.
    pub slots: u64,
    /// Their native mixing weights; those of one layer-token add up to 1 if the model normalises.
    pub mass: f64,
}

impl Regret {
    fn count(&mut self, weight: f32) {
        self.slots += 1;
        self.mass += f64::from(weight);
    }
}

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
    /// Native experts that were not hot and were waited for.
    pub waited: Regret,
    /// Native experts in whose place another one was computed.
    pub substituted: Regret,
    /// Native experts that were left out.
    pub dropped: Regret,
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
        ratio(self.substituted.mass + self.dropped.mass, self.native_mass, 0.0)
    }

    /// Counts one layer-token. `hot`: `[experts]`.
    ///
    /// Of the native experts that were not chosen, the heaviest are those whose places others took.
    pub(crate) fn count(&mut self, decision: &Decision, hot: &[bool]) {
        let chosen = |expert| decision.chosen.iter().any(|choice| choice.expert == expert);
        self.routed_slots += decision.chosen.len() as u64;
        self.hot_slots += decision.chosen.iter().filter(|c| hot[c.expert.index()]).count() as u64;
        let newcomers = decision.chosen.iter().filter(|c| !decision.is_native(c.expert)).count();
        let mut places = newcomers;
        for native in &decision.native {
            let hot = hot[native.expert.index()];
            self.native_slots += 1;
            self.native_mass += f64::from(native.weight);
            self.missed_slots += u64::from(!hot);
            if chosen(native.expert) {
                self.agreed_slots += 1;
                if !hot {
                    self.waited.count(native.weight);
                }
            } else if places > 0 {
                places -= 1;
                self.substituted.count(native.weight);
            } else {
                self.dropped.count(native.weight);
            }
        }
    }
}

fn ratio(part: f64, whole: f64, empty: f64) -> f64 {
    if whole == 0.0 { empty } else { part / whole }
}

impl Sub for Regret {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self { slots: self.slots - earlier.slots, mass: self.mass - earlier.mass }
    }
}

impl Add for Regret {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { slots: self.slots + other.slots, mass: self.mass + other.mass }
    }
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
            waited: self.waited - earlier.waited,
            substituted: self.substituted - earlier.substituted,
            dropped: self.dropped - earlier.dropped,
        }
    }
}
