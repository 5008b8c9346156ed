//! The figures of a run. Words as in ARCHITECTURE.md, section "Words and metrics".

use std::time::Duration;

use hotset_model::{Qwen3Moe, RoutingStats, StageTimes};
use hotset_residency::PagerStats;

/// What one phase (prefill or decode) did.
#[derive(Clone, Copy, Debug, Default)]
pub struct PhaseFigures {
    /// Tokens computed.
    pub tokens: usize,
    /// Wall time.
    pub time: Duration,
    /// Routing.
    pub routing: RoutingStats,
    /// Paging.
    pub pager: PagerStats,
    /// Where the time went.
    pub stages: StageTimes,
}

/// What a request did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// The prompt.
    pub prefill: PhaseFigures,
    /// The answer.
    pub decode: PhaseFigures,
}

impl PhaseFigures {
    /// Tokens per second; 0 when nothing was computed.
    pub fn tokens_per_second(&self) -> f64 {
        if self.tokens == 0 { 0.0 } else { self.tokens as f64 / self.time.as_secs_f64() }
    }

    /// Experts made ready by a read, per token.
    pub fn swap_ins_per_token(&self) -> f64 {
        self.per_token(self.pager.swap_ins as f64)
    }

    /// MiB read, per token.
    pub fn read_mib_per_token(&self) -> f64 {
        self.per_token(self.pager.bytes_read.as_mib())
    }

    /// Milliseconds that compute waited for reads, per token.
    pub fn stall_ms_per_token(&self) -> f64 {
        self.per_token(self.pager.stall.as_secs_f64() * 1e3)
    }

    fn per_token(&self, total: f64) -> f64 {
        if self.tokens == 0 { 0.0 } else { total / self.tokens as f64 }
    }
}

/// Totals of the model at one moment; the difference to a later one is a phase.
pub(crate) struct Snapshot {
    start: std::time::Instant,
    routing: RoutingStats,
    pager: PagerStats,
    stages: StageTimes,
}

impl Snapshot {
    pub fn take(model: &Qwen3Moe) -> Self {
        Self {
            start: std::time::Instant::now(),
            routing: model.routing_stats(),
            pager: model.pager_stats(),
            stages: model.stage_times(),
        }
    }

    pub fn phase(&self, model: &Qwen3Moe, tokens: usize) -> PhaseFigures {
        PhaseFigures {
            tokens,
            time: self.start.elapsed(),
            routing: model.routing_stats() - self.routing,
            pager: model.pager_stats() - self.pager,
            stages: model.stage_times() - self.stages,
        }
    }
}
