//! Where the time of a forward pass goes, apart from waiting for reads: that is the pager's stall.

use std::ops::Sub;
use std::time::{Duration, Instant};

/// Running totals; differences of two snapshots give a request's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Norm, Q, K, V and output projections.
    pub projections: Duration,
    /// Rotary embedding, the KV cache, attention itself.
    pub attention: Duration,
    /// Norm, router scores, choice, asking for experts, looking ahead.
    pub router: Duration,
    /// Experts and their sum.
    pub experts: Duration,
    /// Norm and logits.
    pub head: Duration,
}

impl StageTimes {
    /// All stages.
    pub fn total(&self) -> Duration {
        self.projections + self.attention + self.router + self.experts + self.head
    }
}

impl Sub for StageTimes {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            projections: self.projections - earlier.projections,
            attention: self.attention - earlier.attention,
            router: self.router - earlier.router,
            experts: self.experts - earlier.experts,
            head: self.head - earlier.head,
        }
    }
}

/// A stopwatch: the time since the last lap goes to a stage, without what the pager waited in it.
pub(crate) struct StageClock {
    last: Instant,
    /// All that the pager had waited by then.
    stall: Duration,
}

impl StageClock {
    /// For stages in which nobody waits for reads.
    pub fn start() -> Self {
        Self::start_beside(Duration::ZERO)
    }

    /// For stages in which the pager may wait; `stall` is what it has waited so far.
    pub fn start_beside(stall: Duration) -> Self {
        Self { last: Instant::now(), stall }
    }

    pub fn lap(&mut self, stage: &mut Duration) {
        self.lap_beside(self.stall, stage);
    }

    pub fn lap_beside(&mut self, stall: Duration, stage: &mut Duration) {
        let now = Instant::now();
        *stage += (now - self.last).saturating_sub(stall - self.stall);
        (self.last, self.stall) = (now, stall);
    }
}
