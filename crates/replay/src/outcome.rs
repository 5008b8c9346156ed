//! What a replay counted. Words as in ARCHITECTURE.md, section "Words and metrics".

use hotset_base::Choice;
use hotset_policy::route::{RegretByKind, fates};

use crate::ReplayPolicy;

/// Of one cache, over the tokens that count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The cache.
    pub policy: ReplayPolicy,
    /// Slots per layer.
    pub experts_per_layer: usize,
    /// Tokens that count.
    pub tokens: usize,
    /// Layer-tokens of those.
    pub layer_tokens: u64,
    /// Chosen picks.
    pub picks: u64,
    /// Of those, hot ones.
    pub hot_picks: u64,
    /// Experts read.
    pub swap_ins: u64,
    /// Their weights.
    pub bytes: u64,
    /// Native picks that were not hot or not chosen; all the mass of a layer-token is 1.
    pub regret: RegretByKind,
}

impl Outcome {
    pub(crate) fn new(policy: ReplayPolicy, experts_per_layer: usize, tokens: usize) -> Self {
        Self {
            policy,
            experts_per_layer,
            tokens,
            layer_tokens: 0,
            picks: 0,
            hot_picks: 0,
            swap_ins: 0,
            bytes: 0,
            regret: RegretByKind::default(),
        }
    }

    /// Counts a layer-token: an expert that is chosen and not hot is read, `expert_bytes` each.
    pub(crate) fn count(&mut self, native: &[Choice], chosen: &[Choice], hot: &[bool], expert_bytes: u64) {
        let hot_picks = chosen.iter().filter(|choice| hot[choice.expert.index()]).count() as u64;
        let swap_ins = chosen.len() as u64 - hot_picks;
        self.layer_tokens += 1;
        self.picks += chosen.len() as u64;
        self.hot_picks += hot_picks;
        self.swap_ins += swap_ins;
        self.bytes += swap_ins * expert_bytes;
        let whole: f64 = native.iter().map(|wanted| f64::from(wanted.weight)).sum();
        for (wanted, fate) in fates(native, chosen, hot) {
            self.regret.count(fate, f64::from(wanted.weight) / whole);
        }
    }

    /// Hot chosen picks / chosen picks.
    pub fn hit_rate(&self) -> f64 {
        if self.picks == 0 { 1.0 } else { self.hot_picks as f64 / self.picks as f64 }
    }

    /// Churn.
    pub fn swap_ins_per_1000_tokens(&self) -> f64 {
        1000.0 * self.swap_ins as f64 / self.tokens as f64
    }

    /// Weights read per token.
    pub fn bytes_per_token(&self) -> f64 {
        self.bytes as f64 / self.tokens as f64
    }

    /// Share of the native router mass that was substituted or dropped.
    pub fn mass_lost(&self) -> f64 {
        self.regret.lost().mass / self.layer_tokens.max(1) as f64
    }
}
