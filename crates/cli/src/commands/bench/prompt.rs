//! What the benchmark reads before it decodes.

use std::path::Path;

use anyhow::Result;
use hotset_base::limits::MAX_PROMPT;
use hotset_engine::Engine;

use crate::input;
use crate::output::Usage;

/// Prose, a recipe, code, a sum: what a model is asked about.
const TEXT: &str = include_str!("prompt.txt");

/// The tokens prompts are cut from.
pub struct Prompts {
    tokens: Vec<u32>,
    pub source: String,
}

impl Prompts {
    /// From a file, or the text above.
    pub fn new(engine: &Engine, file: Option<&Path>) -> Result<Self> {
        let (text, source) = match file {
            None => (TEXT.to_owned(), "built-in text".to_owned()),
            Some(path) => (input::text(path, MAX_PROMPT)?, path.display().to_string()),
        };
        let tokens = engine.tokenizer().encode(&text, false)?;
        if tokens.is_empty() {
            return Err(Usage(format!("{source} has no tokens to make a prompt of")).into());
        }
        Ok(Self { tokens, source })
    }

    /// A prompt of `length` tokens, at least one: the text from another place for every repetition, so
    /// that none decodes what an earlier one has left in memory; from its start again where it ends.
    pub fn cut(&self, length: usize, repetition: usize, repetitions: usize) -> Vec<u32> {
        let start = self.tokens.len() * repetition / repetitions.max(1);
        self.tokens.iter().copied().cycle().skip(start).take(length.max(1)).collect()
    }
}
