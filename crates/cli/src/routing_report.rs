//! What routing did, for people and for programs. Words as in ARCHITECTURE.md.

use hotset_engine::PhaseFigures;
use hotset_model::RoutingStats;
use hotset_policy::route::{Regret, RegretByKind};
use serde::Serialize;

/// Fields of every JSON report of a phase.
#[derive(Serialize)]
pub struct RoutingReport {
    agreement: f64,
    regret_rate: f64,
    mass_lost: f64,
    #[serde(flatten)]
    regret: RegretReport,
    admitted: u64,
}

/// Regret by kind.
#[derive(Serialize)]
pub struct RegretReport {
    regret_waited_slots: u64,
    regret_waited_mass: f64,
    regret_substituted_slots: u64,
    regret_substituted_mass: f64,
    regret_dropped_slots: u64,
    regret_dropped_mass: f64,
}

impl RegretReport {
    pub fn new(regret: &RegretByKind) -> Self {
        Self {
            regret_waited_slots: regret.waited.picks,
            regret_waited_mass: regret.waited.mass,
            regret_substituted_slots: regret.substituted.picks,
            regret_substituted_mass: regret.substituted.mass,
            regret_dropped_slots: regret.dropped.picks,
            regret_dropped_mass: regret.dropped.mass,
        }
    }
}

impl RoutingReport {
    pub fn new(phase: &PhaseFigures) -> Self {
        let routing = &phase.routing;
        Self {
            agreement: routing.agreement(),
            regret_rate: routing.regret_rate(),
            mass_lost: routing.mass_lost(),
            regret: RegretReport::new(&routing.regret),
            admitted: phase.pager.admitted,
        }
    }
}

/// Agreement and regret by kind in per cent of the native picks and of their mass; nothing of a phase in
/// which all was chosen as the model does.
pub fn regret(routing: &RoutingStats) -> Option<String> {
    if routing.agreed_picks == routing.native_picks && routing.routed_picks == routing.native_picks {
        return None;
    }
    let share = |kind: Regret| {
        let (picks, mass) =
            (kind.picks as f64 / routing.native_picks as f64, kind.mass / routing.native_mass);
        format!("{:.1} % ({:.1} % of mass)", 100.0 * picks, 100.0 * mass)
    };
    Some(format!(
        "agreement {:.1} %, waited for {}, substituted {}, dropped {}",
        100.0 * routing.agreement(),
        share(routing.regret.waited),
        share(routing.regret.substituted),
        share(routing.regret.dropped),
    ))
}
