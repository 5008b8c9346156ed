//! The figures of a run. Words as in ARCHITECTURE.md.

use std::time::Instant;

use hotset_base::figures::Totals;
use hotset_model::Qwen3Moe;

/// What a request did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// The prompt.
    pub prefill: Totals,
    /// The answer.
    pub decode: Totals,
}

/// Totals of the model at one moment; what they have grown by at a later one is what was done in between.
pub(crate) struct Snapshot {
    start: Instant,
    totals: Totals,
}

impl Snapshot {
    pub fn take(model: &Qwen3Moe) -> Self {
        Self { start: Instant::now(), totals: model.totals() }
    }

    /// What has been done since, with so many tokens computed.
    pub fn since(&self, model: &Qwen3Moe, tokens: usize) -> Totals {
        Totals { tokens: tokens as u64, time: self.start.elapsed(), ..model.totals() - self.totals }
    }
}
