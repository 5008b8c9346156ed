//! What a trace says at a glance: how much of what was wanted had been wanted just before.

use hotset_base::figures::Totals;
use hotset_base::{ExpertKey, Phase};

use crate::{Pass, TraceHeader, TraceRow, Visit};

/// "Seen in the last N tokens", for these N.
pub const SEEN_WITHIN: [u64; 5] = [1, 4, 8, 16, 32];

/// Figures of the tokens that were added; locality is counted over decoding tokens, or over all when told
/// so.
#[derive(Clone, Debug)]
pub struct Summary {
    experts: usize,
    all: bool,
    /// Tokens of each phase, in the order of [`Phase::ALL`].
    pub tokens: [u64; 3],
    /// Of the tokens that count, as far as a trace has it: chosen picks, reads and their reasons, stall.
    totals: Totals,
    /// Chosen picks of tokens that have at least [`SEEN_WITHIN`] tokens before them, and those of them that
    /// were chosen by one of the last so many.
    seen: [(u64, u64); SEEN_WITHIN.len()],
    /// `[layers * experts]`: the token that chose it last, counted from 1; 0 for none.
    last: Vec<u64>,
    /// `[layers]`: tokens that count.
    counted: Vec<u64>,
}

impl Summary {
    /// Of nothing yet; `all` counts the tokens of prompts too.
    pub fn new(header: &TraceHeader, all: bool) -> Self {
        Self {
            experts: header.experts,
            all,
            tokens: [0; 3],
            totals: Totals::default(),
            seen: [(0, 0); SEEN_WITHIN.len()],
            last: vec![0; header.layers * header.experts],
            counted: vec![0; header.layers],
        }
    }

    /// Adds a pass.
    pub fn add(&mut self, pass: &Pass) {
        pass.rows.iter().for_each(|row| self.tokens[row.phase as usize] += 1);
        let counts = |row: &TraceRow| self.all || row.phase.is_decoding();
        // What a visit reads it reads for all its rows together.
        if !pass.rows.iter().any(counts) {
            return;
        }
        let counted: Vec<usize> = (0..pass.rows.len()).filter(|&row| counts(&pass.rows[row])).collect();
        for visit in &pass.visits {
            let pager = &mut self.totals.pager;
            pager.demanded += u64::from(visit.reads.demand);
            pager.prefetch.late += u64::from(visit.reads.late);
            pager.prefetch.started += u64::from(visit.reads.prefetch);
            pager.stall += visit.stall;
            counted.iter().for_each(|&row| self.layer_token(visit, row));
        }
    }

    fn layer_token(&mut self, visit: &Visit, token: usize) {
        let chosen = &visit.layer_tokens[token].chosen;
        if chosen.is_empty() {
            return;
        }
        self.counted[visit.layer.index()] += 1;
        let now = self.counted[visit.layer.index()];
        for choice in chosen {
            self.totals.routing.routed_picks += 1;
            self.totals.routing.hot_picks += u64::from(visit.is_hot(choice.expert));
            let flat = ExpertKey::new(visit.layer, choice.expert).flat(self.experts);
            let last = std::mem::replace(&mut self.last[flat], now);
            for (&within, (all, seen)) in SEEN_WITHIN.iter().zip(&mut self.seen) {
                *all += u64::from(now > within);
                *seen += u64::from(now > within && last > 0 && now - last <= within);
            }
        }
    }

    /// All tokens.
    pub fn all_tokens(&self) -> u64 {
        self.tokens.iter().sum()
    }

    /// The tokens that count.
    pub fn counted_tokens(&self) -> u64 {
        if self.all { self.all_tokens() } else { self.all_tokens() - self.tokens[Phase::Setup as usize] }
    }

    /// Of the tokens that count: chosen picks, reads and their reasons, stall.
    pub fn totals(&self) -> Totals {
        Totals { tokens: self.counted_tokens(), ..self.totals }
    }

    /// Share of the picks that were picked in the same layer within the last [`SEEN_WITHIN`] tokens, of
    /// tokens that have so many before them. The first is the overlap with the previous token.
    pub fn seen_within(&self) -> [Option<f64>; SEEN_WITHIN.len()] {
        self.seen.map(|(all, seen)| share(seen, all))
    }

    /// Distinct experts of each layer.
    pub fn distinct(&self) -> impl Iterator<Item = usize> + '_ {
        self.last.chunks(self.experts).map(|layer| layer.iter().filter(|&&last| last > 0).count())
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
