//! Where the time of a forward pass goes.

use std::ops::Sub;
use std::time::{Duration, Instant};

/// Running totals; differences of two snapshots give a request's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Norm, Q, K, V and output projections.
    pub projections: Duration,
    /// Rotary embedding, the KV cache, attention itself.
    pub attention: Duration,
    /// Norm, router scores, choice, looking ahead.
    pub router: Duration,
    /// Experts and their sum, waiting for reads included.
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

/// A stopwatch: the time since the last lap goes to a stage.
pub(crate) struct StageClock(Instant);

impl StageClock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn lap(&mut self, stage: &mut Duration) {
        let now = Instant::now();
        *stage += now - self.0;
        self.0 = now;
    }
}
