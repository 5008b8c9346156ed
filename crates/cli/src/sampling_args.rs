//! Flags of sampling, named as in llama.cpp; the same names after `/set parameter` in a chat.

use anyhow::Result;
use clap::Args;
use hotset_text::SamplerConfig;

use crate::output::Usage;

#[derive(Args, Clone)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// Temperature; 0 always takes the likeliest token
    #[arg(long, visible_alias = "temperature", value_name = "T", default_value_t = 0.8)]
    pub temp: f32,
    /// Keep the K likeliest tokens; 0 keeps all
    #[arg(long, value_name = "K", default_value_t = 40)]
    pub top_k: usize,
    /// Keep the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 0.95)]
    pub top_p: f32,
    /// Drop tokens less likely than this share of the likeliest
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    pub min_p: f32,
    /// Penalise tokens that occurred lately; 1 is off (default as in Ollama)
    #[arg(long, value_name = "X", default_value_t = 1.1)]
    pub repeat_penalty: f32,
    /// How many tokens back "lately" reaches
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub repeat_last_n: usize,
    /// Seed; the same seed gives the same answer
    #[arg(short = 's', long, env = "HOTSET_SEED", value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

impl SamplingArgs {
    pub fn config(&self) -> SamplerConfig {
        SamplerConfig {
            temperature: self.temp,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repeat_penalty: self.repeat_penalty,
            repeat_last_n: self.repeat_last_n,
            seed: self.seed,
        }
    }

    /// The configuration, or which flag is out of range.
    pub fn checked(&self) -> Result<SamplerConfig> {
        let config = self.config();
        config.validate().map_err(|error| Usage(error.to_string()))?;
        Ok(config)
    }
}
