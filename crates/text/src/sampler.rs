//! Choosing the next token from a row of logits.

use std::collections::VecDeque;

use hotset_base::limits::MAX_VOCAB;

use crate::candidates::Candidates;
use crate::rng::Rng;
use crate::sampler_config::{SamplerConfig, SamplerError};

/// Samples one token at a time, in llama.cpp's default order: repetition penalty, top-k, top-p,
/// min-p, temperature, draw. Allocates nothing after [`new`](Self::new).
pub struct Sampler {
    config: SamplerConfig,
    vocab: usize,
    candidates: Candidates,
    /// Accepted tokens, oldest first; at most `config.repeat_last_n`.
    recent: VecDeque<u32>,
    rng: Rng,
}

impl Sampler {
    /// For rows of `vocab` logits.
    pub fn new(config: SamplerConfig, vocab: usize) -> Result<Self, SamplerError> {
        config.validate()?;
        if vocab == 0 || vocab > MAX_VOCAB {
            return Err(SamplerError::Vocab { found: vocab, limit: MAX_VOCAB });
        }
        Ok(Self {
            config,
            vocab,
            candidates: Candidates::with_capacity(vocab),
            recent: VecDeque::with_capacity(config.repeat_last_n),
            rng: Rng::new(config.seed),
        })
    }

    /// The next token's id; `logits` are `[vocab]`, as the model computed them. -inf masks a token.
    /// At temperature 0 the most likely one, the lowest id among equals, after the penalty.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32, SamplerError> {
        self.check(logits)?;
        let config = self.config;
        self.candidates.fill(logits);
        if config.repeat_penalty != 1.0 {
            self.penalise(logits);
        }
        let chosen = if config.temperature == 0.0 {
            self.candidates.best()
        } else {
            self.candidates.top_k(config.top_k);
            self.candidates.top_p(config.top_p);
            self.candidates.min_p(config.min_p);
            self.candidates.draw(config.temperature, self.rng.unit())
        };
        chosen.map(|candidate| candidate.id).ok_or(SamplerError::NothingPossible)
    }

    /// Tells the sampler which token was taken (also a token of the prompt): it becomes recent.
    pub fn accept(&mut self, token: u32) {
        if self.config.repeat_last_n == 0 {
            return;
        }
        if self.recent.len() == self.config.repeat_last_n {
            self.recent.pop_front();
        }
        self.recent.push_back(token);
    }

    /// Forgets the recent tokens and starts the random numbers over.
    pub fn reset(&mut self, seed: u64) {
        self.config.seed = seed;
        self.recent.clear();
        self.rng = Rng::new(seed);
    }

    fn check(&self, logits: &[f32]) -> Result<(), SamplerError> {
        if logits.len() != self.vocab {
            return Err(SamplerError::Length { found: logits.len(), vocab: self.vocab });
        }
        let damaged = |value: &f32| value.is_nan() || *value == f32::INFINITY;
        if let Some(id) = logits.iter().position(damaged) {
            return Err(SamplerError::NotFinite { id, value: logits[id] });
        }
        if logits.iter().all(|&value| value == f32::NEG_INFINITY) {
            return Err(SamplerError::NothingPossible);
        }
        Ok(())
    }

    /// Starts from the original logit each time: a token counts once however often it occurs.
    fn penalise(&mut self, logits: &[f32]) {
        let penalty = self.config.repeat_penalty;
        for &token in &self.recent {
            let Some(candidate) = self.candidates.get_mut(token) else { continue };
            let logit = logits[token as usize];
            if logit == f32::NEG_INFINITY {
                continue; // masked, and stays so
            }
            let penalised = if logit > 0.0 { logit / penalty } else { logit * penalty };
            candidate.logit = penalised.clamp(f32::MIN, f32::MAX);
        }
    }
}
