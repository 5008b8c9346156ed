//! Flags of sampling, named as in llama.cpp; the same names after `/set parameter` in a chat.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use hotset_text::{LogitBias, Sampler, SamplerConfig, StopStrings, Tokenizer};

use crate::output::Usage;

#[derive(Args, Clone)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// Temperature; 0 and below always take the likeliest token
    #[arg(
        long,
        visible_alias = "temperature",
        value_name = "T",
        default_value_t = 0.8,
        allow_negative_numbers = true
    )]
    pub temp: f32,
    /// Keep the K likeliest tokens; 0 and below keep all
    #[arg(long, value_name = "K", default_value_t = 40, allow_negative_numbers = true)]
    pub top_k: i64,
    /// Keep the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 0.95, allow_negative_numbers = true)]
    pub top_p: f32,
    /// Drop tokens less likely than this share of the likeliest
    #[arg(long, value_name = "P", default_value_t = 0.05, allow_negative_numbers = true)]
    pub min_p: f32,
    /// Penalise tokens that occurred lately; 1 is off (default as in Ollama)
    #[arg(long, value_name = "X", default_value_t = 1.1, allow_negative_numbers = true)]
    pub repeat_penalty: f32,
    /// Take this off the logit of every token that occurred lately
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    pub presence_penalty: f32,
    /// Take this off the logit of a token for every time it occurred lately
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    pub frequency_penalty: f32,
    /// How many tokens back "lately" reaches; -1 for the whole context
    #[arg(long, value_name = "N", default_value_t = 64, allow_negative_numbers = true)]
    pub repeat_last_n: i64,
    /// Add to the logit of a token, by its id: 15043+1, or 15043-inf to forbid it. May be repeated
    #[arg(short = 'l', long, value_name = "TOKEN_ID(+/-)BIAS")]
    pub logit_bias: Vec<LogitBias>,
    /// Do not let the model end the answer
    #[arg(long)]
    pub ignore_eos: bool,
    /// End the answer before this text; \n, \t, \r and \\ are a newline, tab, return and backslash. May be repeated
    #[arg(
        short = 'r',
        long,
        visible_alias = "reverse-prompt",
        value_name = "TEXT",
        allow_hyphen_values = true
    )]
    pub stop: Vec<String>,
    /// Seed; the same seed gives the same answer. -1 takes another one every time (-v and --json say which)
    #[arg(short = 's', long, env = "HOTSET_SEED", value_name = "N", default_value_t = Seed::Random, allow_negative_numbers = true)]
    pub seed: Seed,
}

/// Where the random numbers start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seed {
    /// Anywhere.
    Random,
    /// Here.
    Fixed(u64),
}

impl Seed {
    /// The seed itself; below 2^32, if it is a random one, as in llama.cpp.
    pub fn number(self) -> u64 {
        match self {
            // The standard library's hasher starts from the system's random numbers.
            Self::Random => RandomState::new().hash_one(std::process::id()) >> 32,
            Self::Fixed(seed) => seed,
        }
    }
}

impl FromStr for Seed {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "-1" { Ok(Self::Random) } else { text.trim().parse().map(Self::Fixed) }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("-1"),
            Self::Fixed(seed) => seed.fmt(f),
        }
    }
}

impl SamplingArgs {
    /// Which flag is out of range, if one is.
    pub fn check(&self) -> Result<()> {
        self.config(0)?.validate().map_err(|error| Usage(error.to_string()))?;
        Ok(())
    }

    /// For a context of so many tokens. With a random seed, another one each time.
    pub fn config(&self, context: usize) -> Result<SamplerConfig> {
        let repeat_last_n = match self.repeat_last_n {
            -1 => context,
            n => usize::try_from(n).map_err(|_| {
                Usage(format!("repeat-last-n is {n}, it must be -1 for the whole context, or 0 and up"))
            })?,
        };
        Ok(SamplerConfig {
            // Below 0 is 0; NaN is nothing, and refused.
            temperature: if self.temp < 0.0 { 0.0 } else { self.temp },
            top_k: usize::try_from(self.top_k).unwrap_or(0),
            top_p: self.top_p,
            min_p: self.min_p,
            repeat_penalty: self.repeat_penalty,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            repeat_last_n,
            seed: self.seed.number(),
        })
    }

    /// The sampler of a model, and its seed.
    pub fn sampler(&self, tokenizer: &Tokenizer, vocab: usize, context: usize) -> Result<(Sampler, u64)> {
        let config = self.config(context)?;
        let mut biases = self.logit_bias.clone();
        if self.ignore_eos {
            let forbidden = |&token: &u32| LogitBias { token, bias: f32::NEG_INFINITY };
            biases.extend(tokenizer.stop_ids().iter().filter(|id| (**id as usize) < vocab).map(forbidden));
        }
        let sampler = Sampler::new(config, vocab).and_then(|sampler| sampler.with_biases(&biases));
        Ok((sampler.map_err(|error| Usage(error.to_string()))?, config.seed))
    }

    /// What ends an answer.
    pub fn stops(&self, tokenizer: &Tokenizer) -> Result<StopStrings> {
        let stops: Vec<String> = self.stop.iter().map(|text| unescaped(text)).collect();
        Ok(StopStrings::new(&stops, tokenizer).map_err(|error| Usage(error.to_string()))?)
    }
}

/// Escapes as llama.cpp takes them in texts that are typed.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let escaped = match (c, rest.clone().next()) {
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('t')) => Some('\t'),
            ('\\', Some('r')) => Some('\r'),
            ('\\', Some(same @ ('\\' | '\'' | '"'))) => Some(same),
            _ => None,
        };
        if escaped.is_some() {
            rest.next();
        }
        out.push(escaped.unwrap_or(c));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_what_they_stand_for() {
        assert_eq!(unescaped(r#"a\nb\\n\"\x\"#), "a\nb\\n\"\\x\\");
    }

    #[test]
    fn random_seeds_differ() {
        assert_ne!(Seed::Random.number(), Seed::Random.number());
        assert_eq!("7".parse(), Ok(Seed::Fixed(7)));
        assert_eq!("-1".parse(), Ok(Seed::Random));
        assert!("-2".parse::<Seed>().is_err());
    }
}
