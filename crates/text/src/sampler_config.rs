//! The knobs of sampling and their limits.

use std::fmt;
use std::str::FromStr;

use hotset_base::limits::{MAX_CONTEXT, MAX_VOCAB};
use serde::{Deserialize, Serialize};

/// How the next token is chosen. The default is llama.cpp's.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplerConfig {
    /// Logits are divided by it; 0 always takes the most likely token. 0 to 100.
    pub temperature: f32,
    /// Only the so many most likely tokens; 0 for all.
    pub top_k: usize,
    /// Only the most likely tokens that together have this probability. 0 to 1; 1 for all.
    pub top_p: f32,
    /// Only tokens at least this likely, relative to the most likely one. 0 to 1; 0 for all.
    pub min_p: f32,
    /// Positive logits of recent tokens are divided by it, negative ones multiplied. Above 0 to
    /// 100; 1 for none.
    pub repeat_penalty: f32,
    /// Taken off the logit of every recent token. -100 to 100; 0 for none.
    pub presence_penalty: f32,
    /// Taken off the logit of every recent token as often as it occurred. -100 to 100; 0 for none.
    pub frequency_penalty: f32,
    /// Accepted tokens that count as recent; 0 for none.
    pub repeat_last_n: usize,
    /// Start of the random numbers: the same seed and logits give the same tokens.
    pub seed: u64,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repeat_last_n: 64,
            seed: 0,
        }
    }
}

/// What is added to the logit of one token before anything else: -inf forbids it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LogitBias {
    /// The token's id.
    pub token: u32,
    /// May be infinite, but not NaN.
    pub bias: f32,
}

impl FromStr for LogitBias {
    type Err = String;

    /// As llama.cpp: `15043+1`, `15043-inf`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not TOKEN_ID+BIAS or TOKEN_ID-BIAS");
        let sign = text.find(['+', '-']).ok_or_else(wrong)?;
        let token = text[..sign].trim().parse().map_err(|_| wrong())?;
        let size: f32 = text[sign + 1..].trim().parse().map_err(|_| wrong())?;
        if size.is_nan() {
            return Err(wrong());
        }
        Ok(Self { token, bias: if text[sign..].starts_with('-') { -size } else { size } })
    }
}

impl fmt::Display for LogitBias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:+}", self.token, self.bias)
    }
}

/// Why sampling was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the fields are named by the messages
pub enum SamplerError {
    /// A number makes no sense.
    #[error("{name} is {value}, it must be {allowed}")]
    Number { name: &'static str, value: f32, allowed: &'static str },
    /// A count is too large.
    #[error("{name} is {value}, it must be at most {limit}")]
    Count { name: &'static str, value: usize, limit: usize },
    /// Too many logits are shifted.
    #[error("there are {found} logit biases, at most {limit} are supported")]
    TooManyBiases { found: usize, limit: usize },
    /// A logit that does not exist is shifted.
    #[error("logit-bias of token {token}: the vocabulary ends at {}", vocab - 1)]
    BiasOutside { token: u32, vocab: usize },
    /// The vocabulary is empty or too large.
    #[error("a vocabulary of {found} can not be sampled from, it must be from 1 to {limit}")]
    Vocab { found: usize, limit: usize },
    /// The row of logits is not the vocabulary's.
    #[error("got {found} logits for a vocabulary of {vocab}")]
    Length { found: usize, vocab: usize },
    /// NaN or infinity: the model computed nonsense.
    #[error("logit of token {id} is {value}: the model's output is damaged")]
    NotFinite { id: usize, value: f32 },
    /// Every token is masked out.
    #[error("every logit is -inf: no token is possible")]
    NothingPossible,
}

impl SamplerConfig {
    /// Checks every knob against its limits.
    pub fn validate(&self) -> Result<(), SamplerError> {
        let numbers = [
            ("temperature", self.temperature, 0.0..=100.0, "from 0 to 100"),
            ("top-p", self.top_p, 0.0..=1.0, "from 0 to 1"),
            ("min-p", self.min_p, 0.0..=1.0, "from 0 to 1"),
            ("repeat-penalty", self.repeat_penalty, f32::MIN_POSITIVE..=100.0, "above 0 and at most 100"),
            ("presence-penalty", self.presence_penalty, -100.0..=100.0, "from -100 to 100"),
            ("frequency-penalty", self.frequency_penalty, -100.0..=100.0, "from -100 to 100"),
        ];
        for (name, value, range, allowed) in numbers {
            if !range.contains(&value) {
                return Err(SamplerError::Number { name, value, allowed });
            }
        }
        let counts = [("top-k", self.top_k, MAX_VOCAB), ("repeat-last-n", self.repeat_last_n, MAX_CONTEXT)];
        for (name, value, limit) in counts {
            if value > limit {
                return Err(SamplerError::Count { name, value, limit });
            }
        }
        Ok(())
    }
}
