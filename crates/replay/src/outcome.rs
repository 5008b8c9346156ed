//! What a replay counted. Words as in ARCHITECTURE.md.

use hotset_base::figures::Totals;
use hotset_base::{Bytes, Choice};
use hotset_policy::route::count;

use crate::ReplayPolicy;

/// Of one cache, over the tokens that count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The cache.
    pub policy: ReplayPolicy,
    /// Slots per layer.
    pub experts_per_layer: usize,
    /// Tokens, routing, swap-ins and their bytes; no times.
    pub totals: Totals,
}

impl Outcome {
    pub(crate) fn new(policy: ReplayPolicy, experts_per_layer: usize, tokens: usize) -> Self {
        Self { policy, experts_per_layer, totals: Totals { tokens: tokens as u64, ..Totals::default() } }
    }

    /// Counts a layer-token: an expert that is chosen and not hot is read, `expert_bytes` each. `normalise`:
    /// the model makes the weights of a layer-token add up to 1; what a trace knows of them may be before
    /// that.
    pub(crate) fn count(
        &mut self,
        (native, chosen): (&[Choice], &[Choice]),
        hot: &[bool],
        expert_bytes: Bytes,
        normalise: bool,
    ) {
        let sum = || native.iter().map(|wanted| f64::from(wanted.weight)).sum();
        let whole = if normalise { sum() } else { 1.0 };
        count(&mut self.totals.routing, (native, chosen), hot, whole);
        let read = chosen.iter().filter(|choice| !hot[choice.expert.index()]).count() as u64;
        self.totals.pager.swap_ins += read;
        self.totals.pager.demanded += read;
        // A damaged trace may say that an expert has any size.
        let bytes = &mut self.totals.pager.bytes_read.0;
        *bytes = bytes.saturating_add(read.saturating_mul(expert_bytes.0));
    }
}
