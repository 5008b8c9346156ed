//! Where the time of a forward pass goes, apart from waiting for reads.

use std::time::{Duration, Instant};

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
