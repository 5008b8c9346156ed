//! What the benchmark reads before it decodes.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;
use hotset_engine::Engine;
use hotset_text::TextReader;

use crate::output::Usage;
use crate::prompt;

/// Prose, a recipe, code, a sum: what a model is asked about.
const TEXT: &str = include_str!("prompt.txt");

/// Tokens of a file that are of any use: of a longer one the rest is not read.
const MOST: usize = 1 << 17;

/// The tokens prompts are cut from.
pub struct Prompts {
    tokens: Vec<u32>,
    pub source: String,
}

impl Prompts {
    /// From a file, or the text above.
    pub fn new(engine: &Engine, file: Option<&Path>) -> Result<Self> {
        let (text, source): (Box<dyn Read>, _) = match file {
            None => (Box::new(TEXT.as_bytes()), "built-in text".to_owned()),
            Some(path) => (Box::new(prompt::open(path)?), path.display().to_string()),
        };
        let mut tokens = Vec::new();
        let mut take = |id| {
            tokens.push(id);
            if tokens.len() < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let read = TextReader::new(text).encode(engine.tokenizer(), false, &mut take);
        let _ = read.map_err(|error| prompt::named(&source, error))?;
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
