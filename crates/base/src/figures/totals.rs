//! Running totals: of an engine since it was opened, of a request, of a trace or a replay.

use std::time::Duration;

use super::Histogram;
use crate::Bytes;

counters! {
    /// All that is counted. Who knows less leaves the rest at zero.
    pub struct Totals {
        /// Tokens computed.
        pub tokens: u64,
        /// Wall time that they took.
        pub time: Duration,
        /// Routing.
        pub routing: RoutingTotals,
        /// Paging.
        pub pager: PagerTotals,
        /// Where the time went, beside waiting for reads.
        pub stages: StageTimes,
        /// Processor time.
        pub cpu: CpuTotals,
    }
}

counters! {
    /// What became of what the model wanted.
    pub struct RoutingTotals {
        /// Native picks.
        pub native_picks: u64,
        /// Their mass.
        pub native_mass: f64,
        /// Native picks that were chosen.
        pub agreed_picks: u64,
        /// Chosen picks.
        pub routed_picks: u64,
        /// Of those, hot ones.
        pub hot_picks: u64,
        /// Native picks that were not hot.
        pub missed_picks: u64,
        /// Native picks that were not hot or not chosen, by what became of them.
        pub regret: RegretByKind,
    }
}

counters! {
    /// Native picks that were not hot or not chosen, by what became of them.
    pub struct RegretByKind {
        /// Waited for.
        pub waited: Regret,
        /// Another one was computed in their place.
        pub substituted: Regret,
        /// Left out.
        pub dropped: Regret,
    }
}

impl RegretByKind {
    /// What was not computed.
    pub fn lost(&self) -> Regret {
        self.substituted + self.dropped
    }
}

counters! {
    /// Native picks, and the native router mass that was in them.
    pub struct Regret {
        /// Native picks.
        pub picks: u64,
        /// Their native mixing weights; those of one layer-token add up to 1 if the model normalises.
        pub mass: f64,
    }
}

counters! {
    /// What a pager did. A swap-in is one expert made ready by a read.
    pub struct PagerTotals {
        /// Experts made ready by a read, for a token or before one chose it.
        pub swap_ins: u64,
        /// Bytes of weights those reads fetched.
        pub bytes_read: Bytes,
        /// Experts whose reads were begun because a token had chosen them.
        pub demanded: u64,
        /// Reads that had to be repeated.
        pub retries: u64,
        /// Time that compute waited for reads.
        pub stall: Duration,
        /// From the decision to read until ready, of experts that a token waited for.
        pub time_to_expert: Histogram,
        /// What prefetching did.
        pub prefetch: PrefetchTotals,
        /// Experts read because a routing policy admitted them; they count in `prefetch`, too.
        pub admitted: u64,
        /// Experts read because a context was known again; they count in `prefetch`, too.
        pub preloaded: u64,
    }
}

impl PagerTotals {
    /// A trace may tell of reads and not of their sizes.
    pub(super) fn sizes_are_known(&self) -> bool {
        self.swap_ins == 0 || self.bytes_read > Bytes(0)
    }

    /// Bytes read of experts that a token chose: those prefetched for nothing are left out, as far as they
    /// have been evicted.
    pub fn needed_bytes(&self) -> f64 {
        let wasted = self.prefetch.wasted.min(self.swap_ins) as f64 / self.swap_ins.max(1) as f64;
        self.bytes_read.0 as f64 * (1.0 - wasted)
    }
}

counters! {
    /// Prefetches: experts read before a token chose them.
    pub struct PrefetchTotals {
        /// Begun.
        pub started: u64,
        /// Ready when a token chose them.
        pub used: u64,
        /// Under way when a token chose them.
        pub late: u64,
        /// Evicted without having been chosen.
        pub wasted: u64,
        /// Taken back before the disk had begun.
        pub cancelled: u64,
    }
}

counters! {
    /// Where the time of forward passes went, apart from waiting for reads: that is the pager's stall.
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
}

impl StageTimes {
    /// All stages.
    pub fn total(&self) -> Duration {
        self.projections + self.attention + self.router + self.experts + self.head
    }
}

counters! {
    /// Processor time of the process, where it was taken.
    pub struct CpuTotals {
        /// Tokens for which it was taken.
        pub tokens: u64,
        /// In the program.
        pub user: Duration,
        /// In the kernel on its behalf.
        pub system: Duration,
    }
}
