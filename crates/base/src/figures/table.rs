//! The table of figures: one name and one definition for each.

use std::time::Duration;

use super::{Figure, Per, Regret, Totals, Unit};

impl Totals {
    /// The value of a figure, if there is something to say.
    pub fn get(&self, figure: &Figure) -> Option<f64> {
        (figure.of)(self)
    }

    fn share(part: f64, whole: f64) -> Option<f64> {
        (whole > 0.0).then(|| part / whole)
    }

    fn per_token(&self, total: f64) -> Option<f64> {
        Self::share(total, self.tokens as f64)
    }

    /// Of a time that is known where the wall time is.
    fn stage_ms(&self, time: Duration) -> Option<f64> {
        self.per_token(ms(time)).filter(|_| !self.time.is_zero())
    }

    fn cpu_ms(&self, time: Duration) -> Option<f64> {
        Self::share(ms(time), self.cpu.tokens as f64)
    }

    /// Of the native picks.
    fn picks(&self, regret: Regret) -> Option<f64> {
        (self.routing.native_picks > 0).then_some(regret.picks as f64)
    }

    fn mass(&self, regret: Regret) -> Option<f64> {
        (self.routing.native_picks > 0).then_some(regret.mass)
    }

    fn mass_share(&self, regret: Regret) -> Option<f64> {
        Self::share(regret.mass, self.routing.native_mass)
    }

    fn time_to_expert_ms(&self, share: f64) -> Option<f64> {
        self.pager.time_to_expert.quantile(share).map(ms)
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

macro_rules! figures {
    ($(#[doc = $doc:literal] $id:ident: $name:literal, $label:literal, $unit:ident, $per:ident, $of:expr;)+) => {
        $(#[doc = $doc]
        pub static $id: Figure = Figure {
            name: $name,
            label: $label,
            unit: Unit::$unit,
            per: Per::$per,
            doc: $doc.trim_ascii(),
            of: $of,
        };)+

        /// All figures, in the order in which they are printed.
        pub static FIGURES: [&Figure; [$($name),+].len()] = [$(&$id),+];
    };
}

figures! {
    /// Tokens computed
    COMPUTED_TOKENS: "computed_tokens", "tokens computed", Tokens, Total, |t| Some(t.tokens as f64);
    /// Tokens computed / wall time
    TOKENS_PER_SECOND: "tokens_per_second", "tok/s", Tokens, Second,
        |t| Totals::share(t.tokens as f64, t.time.as_secs_f64()).filter(|_| t.tokens > 0);
    /// Hot chosen picks / chosen picks
    HIT_RATE: "hit_rate", "hit rate, %", Picks, Share,
        |t| Totals::share(t.routing.hot_picks as f64, t.routing.routed_picks as f64);
    /// Hot chosen picks / native picks: what dropping makes of the hit rate is not in it
    HOT_OF_NATIVE: "hot_of_native", "hot of native, %", Picks, Share,
        |t| Totals::share(t.routing.hot_picks as f64, t.routing.native_picks as f64);
    /// Native picks that were chosen / native picks
    AGREEMENT: "agreement", "agreement, %", Picks, Share,
        |t| Totals::share(t.routing.agreed_picks as f64, t.routing.native_picks as f64);
    /// Native picks that were not hot / native picks
    REGRET_RATE: "regret_rate", "regret rate, %", Picks, Share,
        |t| Totals::share(t.routing.missed_picks as f64, t.routing.native_picks as f64);
    /// Native router mass that was not computed / native router mass
    MASS_LOST: "mass_lost", "mass lost, %", Mass, Share, |t| t.mass_share(t.routing.regret.lost());
    /// Native router mass that was waited for / native router mass
    MASS_WAITED: "mass_waited", "mass waited for, %", Mass, Share, |t| t.mass_share(t.routing.regret.waited);
    /// Native router mass given to substitutes / native router mass
    MASS_SUBSTITUTED: "mass_substituted", "mass substituted, %", Mass, Share,
        |t| t.mass_share(t.routing.regret.substituted);
    /// Native router mass left out / native router mass
    MASS_DROPPED: "mass_dropped", "mass dropped, %", Mass, Share,
        |t| t.mass_share(t.routing.regret.dropped);
    /// Native picks that were not hot, were loaded, and waited for
    REGRET_WAITED_PICKS: "regret_waited_picks", "picks waited for", Picks, Total,
        |t| t.picks(t.routing.regret.waited);
    /// Their mass
    REGRET_WAITED_MASS: "regret_waited_mass", "mass waited for", Mass, Total,
        |t| t.mass(t.routing.regret.waited);
    /// Native picks in whose place others were computed
    REGRET_SUBSTITUTED_PICKS: "regret_substituted_picks", "picks substituted", Picks, Total,
        |t| t.picks(t.routing.regret.substituted);
    /// Their mass
    REGRET_SUBSTITUTED_MASS: "regret_substituted_mass", "mass substituted", Mass, Total,
        |t| t.mass(t.routing.regret.substituted);
    /// Native picks left out
    REGRET_DROPPED_PICKS: "regret_dropped_picks", "picks dropped", Picks, Total,
        |t| t.picks(t.routing.regret.dropped);
    /// Their mass
    REGRET_DROPPED_MASS: "regret_dropped_mass", "mass dropped", Mass, Total,
        |t| t.mass(t.routing.regret.dropped);
    /// Experts made ready by a read, for a token or before one chose them
    SWAP_INS_PER_TOKEN: "swap_ins_per_token", "swap-ins per token", Experts, Token,
        |t| t.per_token(t.pager.swap_ins as f64);
    /// Weights that those reads fetched
    READ_MIB_PER_TOKEN: "read_mib_per_token", "MiB read per token", Mib, Token,
        |t| t.per_token(t.pager.bytes_read.as_mib()).filter(|_| t.pager.sizes_are_known());
    /// Time that compute waited for reads
    STALL_MS_PER_TOKEN: "stall_ms_per_token", "stall, ms per token", Milliseconds, Token,
        |t| t.per_token(ms(t.pager.stall));
    /// From the decision to read until ready, of experts that a token waited for: the median
    TIME_TO_EXPERT_P50_MS: "time_to_expert_p50_ms", "time to expert, p50 ms", Milliseconds, Expert,
        |t| t.time_to_expert_ms(0.50);
    /// The same, not exceeded by 95 %
    TIME_TO_EXPERT_P95_MS: "time_to_expert_p95_ms", "time to expert, p95 ms", Milliseconds, Expert,
        |t| t.time_to_expert_ms(0.95);
    /// The same, not exceeded by 99 %
    TIME_TO_EXPERT_P99_MS: "time_to_expert_p99_ms", "time to expert, p99 ms", Milliseconds, Expert,
        |t| t.time_to_expert_ms(0.99);
    /// Experts whose reads were begun because a token had chosen them
    DEMAND_READS_PER_TOKEN: "demand_reads_per_token", "read on demand", Experts, Token,
        |t| t.per_token(t.pager.demanded as f64);
    /// Experts whose reads were begun before a token chose them: predicted, admitted or preloaded
    PREFETCH_STARTED_PER_TOKEN: "prefetch_started_per_token", "prefetches begun", Experts, Token,
        |t| t.per_token(t.pager.prefetch.started as f64);
    /// Prefetched experts that were ready when a token chose them
    PREFETCH_USED_PER_TOKEN: "prefetch_used_per_token", "prefetched and used", Experts, Token,
        |t| t.per_token(t.pager.prefetch.used as f64);
    /// Prefetched experts that were still being read when a token chose them
    PREFETCH_LATE_PER_TOKEN: "prefetch_late_per_token", "prefetched, late", Experts, Token,
        |t| t.per_token(t.pager.prefetch.late as f64);
    /// Prefetched experts that were evicted without having been chosen
    PREFETCH_WASTED_PER_TOKEN: "prefetch_wasted_per_token", "prefetched, wasted", Experts, Token,
        |t| t.per_token(t.pager.prefetch.wasted as f64);
    /// Experts read because a routing policy admitted them
    ADMITTED: "admitted", "admitted", Experts, Total,
        |t| (t.tokens > 0).then_some(t.pager.admitted as f64);
    /// Experts read because a context was known again
    PRELOADED: "preloaded", "preloaded", Experts, Total,
        |t| (t.tokens > 0).then_some(t.pager.preloaded as f64);
    /// Reads that had to be repeated
    RETRIES: "retries", "reads repeated", Experts, Total, |t| (t.tokens > 0).then_some(t.pager.retries as f64);
    /// Time in the experts and their sum, without waiting for reads
    EXPERTS_MS_PER_TOKEN: "experts_ms_per_token", "experts", Milliseconds, Token,
        |t| t.stage_ms(t.stages.experts);
    /// Time in the projections of attention
    PROJECTIONS_MS_PER_TOKEN: "projections_ms_per_token", "projections", Milliseconds, Token,
        |t| t.stage_ms(t.stages.projections);
    /// Time in rotary embedding, KV cache and attention
    ATTENTION_MS_PER_TOKEN: "attention_ms_per_token", "attention", Milliseconds, Token,
        |t| t.stage_ms(t.stages.attention);
    /// Time in routers, choice and looking ahead, without waiting for reads
    ROUTER_MS_PER_TOKEN: "router_ms_per_token", "router", Milliseconds, Token,
        |t| t.stage_ms(t.stages.router);
    /// Time in the head
    HEAD_MS_PER_TOKEN: "head_ms_per_token", "head", Milliseconds, Token, |t| t.stage_ms(t.stages.head);
    /// What is left of the wall time beside the stages and the stall: embedding, choosing tokens, bookkeeping
    REST_MS_PER_TOKEN: "rest_ms_per_token", "rest", Milliseconds, Token,
        |t| t.stage_ms(t.time.saturating_sub(t.stages.total() + t.pager.stall));
    /// Processor time in the program
    CPU_USER_MS_PER_TOKEN: "cpu_user_ms_per_token", "CPU user, ms per token", Milliseconds, Token,
        |t| t.cpu_ms(t.cpu.user);
    /// Processor time in the kernel on its behalf
    CPU_SYSTEM_MS_PER_TOKEN: "cpu_system_ms_per_token", "CPU system, ms per token", Milliseconds, Token,
        |t| t.cpu_ms(t.cpu.system);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing_no_figure_says_anything_but_that_it_was_nothing() {
        for figure in FIGURES {
            let expected = (figure.name == COMPUTED_TOKENS.name).then_some(0.0);
            assert_eq!(Totals::default().get(figure), expected, "{}", figure.name);
        }
    }

    #[test]
    fn names_are_names_and_name_one_figure() {
        for (i, figure) in FIGURES.iter().enumerate() {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(figure.name.chars().all(plain) && !figure.doc.is_empty(), "{}", figure.name);
            assert!(
                FIGURES[..i].iter().all(|other| other.name != figure.name && other.label != figure.label)
            );
            assert_eq!(figure.name.ends_with("_per_token"), figure.per == Per::Token, "{}", figure.name);
        }
    }
}
