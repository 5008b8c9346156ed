//! Where a prompt or a text comes from. Nothing of a file is held but a piece, so that its size costs no memory.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Error, Result};
use hotset_base::Bytes;
use hotset_base::limits::MAX_PROMPT;
use hotset_engine::EngineError;
use hotset_text::{TextError, TextReader, Tokenizer};

use crate::input;
use crate::output::Usage;

/// A prompt, read when it is needed.
pub enum Prompt {
    /// From the command line.
    Given(String),
    /// From a file or standard input.
    Read {
        /// What it is called.
        name: String,
        source: Box<dyn Read>,
    },
}

impl Prompt {
    /// Opens a file.
    pub fn file(path: &Path) -> Result<Self> {
        Ok(Self::Read { name: path.display().to_string(), source: Box::new(open(path)?) })
    }

    /// Standard input.
    pub fn standard_input() -> Self {
        Self::Read { name: "standard input".to_owned(), source: Box::new(io::stdin()) }
    }

    /// Its tokens, at least one and at most `context`: as soon as there are more, it is refused.
    pub fn encode(self, tokenizer: &Tokenizer, context: usize) -> Result<Vec<u32>> {
        let (name, source) = match self {
            Self::Given(text) => return encode(tokenizer, &text, context),
            Self::Read { name, source } => (name, source),
        };
        let mut tokens = Tokens::new(context);
        let reader = &mut TextReader::without_last_newline(source);
        let flow = reader.encode(tokenizer, true, &mut |id| tokens.push(id)).map_err(|e| named(&name, e))?;
        tokens.whole(flow)
    }

    /// Its text, for a chat template, of at most `limit` bytes.
    pub fn text(self, limit: Bytes) -> Result<String> {
        let (text, name) = match self {
            Self::Given(text) => (text, "the prompt".to_owned()),
            Self::Read { name, source } => {
                let mut reader = TextReader::without_last_newline(source);
                let mut text = String::new();
                while let Some(piece) = reader.next_piece().map_err(|e| named(&name, e))?
                    && text.len() as u64 <= limit.0
                {
                    text.push_str(piece);
                }
                (text, name)
            }
        };
        if text.len() as u64 > limit.0 {
            let hint = "shorten it or raise -c/--ctx-size";
            return Err(Usage(format!(
                "{name} is longer than the {limit} that this context has room for: {hint}"
            ))
            .into());
        }
        Ok(text)
    }
}

/// The tokens of a rendered text, at least one and at most `context`.
pub fn encode(tokenizer: &Tokenizer, text: &str, context: usize) -> Result<Vec<u32>> {
    let mut tokens = Tokens::new(context);
    let mut encoder = tokenizer.encoder(true);
    let mut take = |id| tokens.push(id);
    let mut flow = encoder.push(text, &mut take)?;
    if flow.is_continue() {
        flow = encoder.finish(&mut take)?;
    }
    tokens.whole(flow)
}

/// Tokens counted against a context while they come.
struct Tokens {
    ids: Vec<u32>,
    context: usize,
}

impl Tokens {
    fn new(context: usize) -> Self {
        Self { ids: Vec::new(), context }
    }

    fn push(&mut self, id: u32) -> ControlFlow<()> {
        if self.ids.len() == self.context {
            return ControlFlow::Break(());
        }
        self.ids.push(id);
        ControlFlow::Continue(())
    }

    fn whole(self, flow: ControlFlow<()>) -> Result<Vec<u32>> {
        match (flow, self.ids.is_empty()) {
            (ControlFlow::Break(()), _) => {
                Err(EngineError::PromptOverContext { context: self.context }.into())
            }
            (_, true) => Err(Usage(EngineError::EmptyPrompt.to_string()).into()),
            _ => Ok(self.ids),
        }
    }
}

/// Opens a text; one that is known to be too long is refused.
pub fn open(path: &Path) -> Result<File> {
    let file = input::stream(path)?;
    let length = file.metadata().with_context(|| format!("cannot open {}", path.display()))?.len();
    if length > MAX_PROMPT.0 {
        return Err(named(&path.display().to_string(), TextError::TooLong { limit: MAX_PROMPT }));
    }
    Ok(file)
}

/// What is wrong with a text, by its name: a mistake of the user's, unless the system refused to read it.
pub fn named(name: &str, error: TextError) -> Error {
    match error {
        TextError::Read(source) => Error::new(source).context(format!("cannot read {name}")),
        TextError::Tokenizer(error) => Error::new(error).context(name.to_owned()),
        TextError::NotUtf8 { .. } | TextError::TooLong { .. } => Usage(format!("{name} {error}")).into(),
    }
}
