//! The clairvoyant cache: gives up what is needed last.

use hotset_base::{ExpertKey, LayerId};
use hotset_policy::evict::{Evict, Retention};

use crate::Demand;

/// Belady's MIN: of all experts, those that are needed soonest stay. What has just been computed need not be
/// kept at all if everything resident is needed sooner (the cache lets it, see [`crate::cache::Cache`]).
/// With places of equal size no cache that reads on demand hits more often over a whole trace; over a part of
/// it one may. Source: L. A. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM
/// Systems Journal 5 (2), 1966; with bypassing: McFarling, "Cache replacement with dynamic exclusion", 1992.
#[derive(Debug)]
pub(crate) struct Belady {
    experts: usize,
    /// Visits of every expert, one expert after the other, rising; [`NEVER`] after an expert's last.
    uses: Vec<u64>,
    /// `[layers * experts]`: where in `uses` the next use of an expert stands.
    next: Vec<usize>,
}

const NEVER: u64 = u64::MAX;

impl Belady {
    /// Looks at the recorded choice of all tokens.
    pub fn new(demand: &Demand) -> Self {
        let (layers, experts) = (demand.header().layers, demand.header().experts);
        let mut counts = vec![1; layers * experts];
        for_each_use(demand, |key, _| counts[key.flat(experts)] += 1);
        let mut end = 0;
        let starts = counts.iter().map(|count| {
            end += count;
            end - count
        });
        let next: Vec<usize> = starts.collect();
        let (mut uses, mut at) = (vec![NEVER; end], next.clone());
        for_each_use(demand, |key, visit| {
            let at = &mut at[key.flat(experts)];
            uses[*at] = visit;
            *at += 1;
        });
        Self { experts, uses, next }
    }
}

/// Visits are counted from 1 as the simulator counts them.
fn for_each_use(demand: &Demand, mut told: impl FnMut(ExpertKey, u64)) {
    let mut visit = 0;
    for token in 0..demand.tokens() {
        for layer in (0..demand.header().layers as u16).map(LayerId) {
            let chosen = demand.chosen(token, layer);
            visit += u64::from(!chosen.is_empty());
            chosen.iter().for_each(|choice| told(ExpertKey::new(layer, choice.expert), visit));
        }
    }
}

impl Evict for Belady {
    fn name(&self) -> &'static str {
        "belady"
    }

    fn used(&mut self, key: ExpertKey, visit_number: u64) {
        let next = &mut self.next[key.flat(self.experts)];
        debug_assert_eq!(self.uses[*next], visit_number, "the demand is the one that was looked at");
        *next += 1;
    }

    fn retention(&self, key: ExpertKey) -> Retention {
        Retention(u64::MAX - self.uses[self.next[key.flat(self.experts)]], 0)
    }

    fn is_steady(&self) -> bool {
        true
    }
}
