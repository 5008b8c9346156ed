//! Choosing the next token from a row of logits.

use std::collections::VecDeque;

use hotset_base::limits::{MAX_LOGIT_BIASES, MAX_VOCAB};

use crate::candidates::Candidates;
use crate::rng::Rng;
use crate::sampler_config::{LogitBias, SamplerConfig, SamplerError};

/// Samples one token at a time, in llama.cpp's default order: logit biases, penalties, top-k, top-p,
/// min-p, temperature, draw. Allocates nothing once it is made.
pub struct Sampler {
    config: SamplerConfig,
    vocab: usize,
    candidates: Candidates,
    /// Accepted tokens, oldest first; at most `config.repeat_last_n`.
    recent: VecDeque<u32>,
    /// How often each token is among them; empty where nobody asks.
    counts: Vec<u32>,
    /// By token, each once.
    biases: Vec<LogitBias>,
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
            counts: vec![0; if config.frequency_penalty == 0.0 { 0 } else { vocab }],
            biases: Vec::new(),
            rng: Rng::new(config.seed),
        })
    }

    /// The same with logits shifted; several biases of one token add up.
    pub fn with_biases(mut self, biases: &[LogitBias]) -> Result<Self, SamplerError> {
        let found = biases.len();
        if found > MAX_LOGIT_BIASES {
            return Err(SamplerError::TooManyBiases { found, limit: MAX_LOGIT_BIASES });
        }
        for &LogitBias { token, bias } in biases {
            if token as usize >= self.vocab {
                return Err(SamplerError::BiasOutside { token, vocab: self.vocab });
            }
            match self.biases.binary_search_by_key(&token, |known| known.token) {
                Ok(at) => self.biases[at].bias = shifted(self.biases[at].bias, bias),
                Err(at) => self.biases.insert(at, LogitBias { token, bias }),
            }
        }
        Ok(self)
    }

    /// The next token's id; `logits` are `[vocab]`, as the model computed them. -inf masks a token.
    /// At temperature 0 the most likely one, the lowest id among equals, after the penalty.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32, SamplerError> {
        self.check(logits)?;
        let config = self.config;
        self.candidates.fill(logits);
        self.shift(logits)?;
        if config.repeat_penalty != 1.0 || config.presence_penalty != 0.0 || config.frequency_penalty != 0.0 {
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
        if self.recent.len() == self.config.repeat_last_n
            && let Some(oldest) = self.recent.pop_front()
            && let Some(count) = self.counts.get_mut(oldest as usize)
        {
            *count -= 1;
        }
        self.recent.push_back(token);
        if let Some(count) = self.counts.get_mut(token as usize) {
            *count += 1;
        }
    }

    /// Forgets the recent tokens and starts the random numbers over.
    pub fn reset(&mut self, seed: u64) {
        self.config.seed = seed;
        self.recent.clear();
        self.counts.fill(0);
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

    /// Adds the biases.
    fn shift(&mut self, logits: &[f32]) -> Result<(), SamplerError> {
        for bias in &self.biases {
            if let Some(candidate) = self.candidates.get_mut(bias.token) {
                candidate.logit = shifted(logits[bias.token as usize], bias.bias);
            }
        }
        let forbidden = || self.candidates.best().is_none_or(|best| best.logit == f32::NEG_INFINITY);
        if !self.biases.is_empty() && forbidden() {
            return Err(SamplerError::NothingPossible);
        }
        Ok(())
    }

    /// Starts from the shifted logit each time: a token is penalised once however often it occurs.
    fn penalise(&mut self, logits: &[f32]) {
        let SamplerConfig { repeat_penalty, presence_penalty, frequency_penalty, .. } = self.config;
        for &token in &self.recent {
            let Some(candidate) = self.candidates.get_mut(token) else { continue };
            let bias = self.biases.binary_search_by_key(&token, |known| known.token);
            let logit = logits[token as usize];
            let logit = bias.map_or(logit, |at| shifted(logit, self.biases[at].bias));
            if logit == f32::NEG_INFINITY {
                continue; // masked, and stays so
            }
            let count = self.counts.get(token as usize).map_or(0.0, |&count| count as f32);
            let repeated = if logit > 0.0 { logit / repeat_penalty } else { logit * repeat_penalty };
            let penalised = repeated - (count * frequency_penalty + presence_penalty);
            candidate.logit = penalised.clamp(f32::MIN, f32::MAX);
        }
    }
}

/// A logit with its bias: what is forbidden stays so, and what is wanted at any price stays a number.
fn shifted(logit: f32, bias: f32) -> f32 {
    if logit == f32::NEG_INFINITY || bias == f32::NEG_INFINITY {
        return f32::NEG_INFINITY;
    }
    (logit + bias).clamp(f32::MIN, f32::MAX)
}
