//! What a trace asks of a cache, in memory: the picks of every layer-token, token after token.

use half::f16;
use hotset_base::{ExpertId, LayerId};
use hotset_policy::route::Choice;
use hotset_trace::{LayerToken, Pass, TraceHeader, TraceSource};

use crate::ReplayError;

/// Which tokens of a trace are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Those the model chose itself.
    Decoded,
    /// Prompts too. The tokens of a chunk come one after the other, as if they had been computed so.
    All,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Demand {
    header: TraceHeader,
    tokens: usize,
    /// `[tokens, layers]`: chosen experts; 0 where nothing was recorded.
    counts: Vec<u8>,
    /// `[tokens, layers, top_k]`: the chosen set.
    chosen: Vec<Choice>,
    /// `[tokens, layers, top_k]`: the native set with its mass, where it is not the chosen one.
    native: Option<Vec<Choice>>,
    /// `[tokens, layers, experts]`, if they were asked for.
    probabilities: Vec<f16>,
}

impl Demand {
    /// Reads a trace to its end; `with_scores` keeps the probabilities of all experts.
    ///
    /// # Errors
    /// If the trace is damaged, has nothing to replay, or lacks the scores.
    pub fn load(source: &mut TraceSource, part: Part, with_scores: bool) -> Result<Self, ReplayError> {
        let header = source.header().clone();
        if with_scores && !header.full_scores {
            return Err(ReplayError::NeedsScores);
        }
        let find_native = !header.native_choice && header.full_scores;
        let mut demand = Self {
            header,
            tokens: 0,
            counts: Vec::new(),
            chosen: Vec::new(),
            native: find_native.then(Vec::new),
            probabilities: Vec::new(),
        };
        let mut left_out = false;
        while let Some(pass) = source.next_pass()? {
            if part == Part::All || pass.phase.is_decoding() {
                demand.add(&pass, with_scores);
            } else {
                left_out = true;
            }
        }
        match demand.tokens {
            0 if left_out => Err(ReplayError::NothingDecoded),
            0 => Err(ReplayError::Empty),
            _ => Ok(demand),
        }
    }

    fn add(&mut self, pass: &Pass, with_scores: bool) {
        let top_k = self.header.top_k;
        for token in 0..pass.tokens.len() {
            for visit in &pass.visits {
                let layer_token = &visit.layer_tokens[token];
                self.counts.push(layer_token.chosen.len() as u8);
                push_padded(&mut self.chosen, &layer_token.chosen, top_k);
                if let Some(native) = &mut self.native {
                    push_padded(native, &native_set(layer_token, top_k), top_k);
                }
                if with_scores {
                    let end = self.probabilities.len() + self.header.experts;
                    self.probabilities.extend(&layer_token.probabilities);
                    self.probabilities.resize(end, f16::ZERO);
                }
            }
            self.tokens += 1;
        }
    }

    /// Whose routers.
    pub fn header(&self) -> &TraceHeader {
        &self.header
    }

    /// Tokens to replay.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    fn place(&self, token: usize, layer: LayerId) -> usize {
        token * self.header.layers + layer.index()
    }

    /// The recorded choice in rank order; empty where nothing was recorded.
    pub fn chosen(&self, token: usize, layer: LayerId) -> &[Choice] {
        let place = self.place(token, layer);
        &self.chosen[place * self.header.top_k..][..usize::from(self.counts[place])]
    }

    /// The native set; weights are its mass.
    pub fn native(&self, token: usize, layer: LayerId) -> &[Choice] {
        match &self.native {
            Some(native) if !self.chosen(token, layer).is_empty() => {
                &native[self.place(token, layer) * self.header.top_k..][..self.header.top_k]
            }
            _ => self.chosen(token, layer),
        }
    }

    /// `[experts]`: what the router said, if it was loaded.
    pub fn probabilities(&self, token: usize, layer: LayerId) -> &[f16] {
        &self.probabilities[self.place(token, layer) * self.header.experts..][..self.header.experts]
    }
}

fn push_padded(table: &mut Vec<Choice>, row: &[Choice], width: usize) {
    let end = table.len() + width;
    table.extend(row);
    table.resize(end, Choice::NONE);
}

/// The `top_k` likeliest experts. Of equally likely ones (f16 rounds) those that were chosen come first.
fn native_set(layer_token: &LayerToken, top_k: usize) -> Vec<Choice> {
    let was_chosen = |expert: ExpertId| layer_token.chosen.iter().any(|choice| choice.expert == expert);
    let experts = layer_token.probabilities.iter().zip(0..).map(|(p, i)| (ExpertId(i), p.to_f32()));
    let mut experts: Vec<(ExpertId, f32)> = experts.collect();
    experts.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| was_chosen(b.0).cmp(&was_chosen(a.0))));
    experts.iter().take(top_k).map(|&(expert, weight)| Choice { expert, weight }).collect()
}
