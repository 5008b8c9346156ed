//! What routing did, for people and for programs. Words as in ARCHITECTURE.md.

use hotset_engine::PhaseFigures;
use hotset_model::RoutingStats;
use serde::Serialize;

/// Fields of every JSON report of a phase.
#[derive(Serialize)]
pub struct RoutingReport {
    agreement: f64,
    regret_rate: f64,
    mass_lost: f64,
    regret_waited_slots: u64,
    regret_waited_mass: f64,
    regret_substituted_slots: u64,
    regret_substituted_mass: f64,
    regret_dropped_slots: u64,
    regret_dropped_mass: f64,
    admitted: u64,
}

impl RoutingReport {
    pub fn new(phase: &PhaseFigures) -> Self {
        let routing = &phase.routing;
        Self {
            agreement: routing.agreement(),
            regret_rate: routing.regret_rate(),
            mass_lost: routing.mass_lost(),
            regret_waited_slots: routing.waited.slots,
            regret_waited_mass: routing.waited.mass,
            regret_substituted_slots: routing.substituted.slots,
            regret_substituted_mass: routing.substituted.mass,
            regret_dropped_slots: routing.dropped.slots,
            regret_dropped_mass: routing.dropped.mass,
            admitted: phase.pager.admitted,
        }
    }
}

/// Agreement and regret by kind in per cent of the native slots and of their mass; nothing of a phase in
/// which all was chosen as the model does.
pub fn regret(routing: &RoutingStats) -> Option<String> {
    if routing.agreed_slots == routing.native_slots && routing.routed_slots == routing.native_slots {
        return None;
    }
    let share = |slots: u64, mass: f64| {
        let (slots, mass) = (slots as f64 / routing.native_slots as f64, mass / routing.native_mass);
        format!("{:.1} % ({:.1} % of mass)", 100.0 * slots, 100.0 * mass)
    };
    Some(format!(
        "agreement {:.1} %, waited for {}, substituted {}, dropped {}",
        100.0 * routing.agreement(),
        share(routing.waited.slots, routing.waited.mass),
        share(routing.substituted.slots, routing.substituted.mass),
        share(routing.dropped.slots, routing.dropped.mass),
    ))
}
