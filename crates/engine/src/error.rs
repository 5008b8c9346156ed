//! Why an engine did not open or a request ended early.

use hotset_format::FormatError;
use hotset_model::{ForwardError, LoadError};
use hotset_text::{SamplerError, TokenizerError};

use crate::PlanError;

/// See the module's text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The model could not be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Its dense weights could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It does not fit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Threads or memory were refused.
    #[error("cannot {what}: {source}")]
    System {
        /// `start the compute threads` ...
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Memory could not be locked.
    #[error("cannot lock memory: {0}")]
    LockMemory(std::io::Error),
    /// Its vocabulary is unusable, or a text could not be encoded.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Sampling settings or scores are unusable.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// A token could not be computed.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// A trace could not be written.
    #[error(transparent)]
    Trace(#[from] hotset_trace::TraceError),
    /// A trust ledger could not be used or saved.
    #[error(transparent)]
    Ledger(#[from] hotset_ledger::LedgerError),
    /// Nothing to start from.
    #[error("the prompt is empty: give at least one token to start from")]
    EmptyPrompt,
    /// The prompt alone fills the context.
    #[error("the prompt has {tokens} tokens, the context {context}: shorten it")]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Positions there are.
        context: usize,
    },
    /// The prompt alone is more than the context; nobody has counted how much more.
    #[error("the prompt has more tokens than the context's {context}: shorten it")]
    PromptOverContext {
        /// Positions there are.
        context: usize,
    },
    /// As many sessions as were planned are there.
    #[error("{planned} session{} planned, and no more: end one first", if *.planned == 1 { " was" } else { "s were" })]
    Sessions {
        /// How many.
        planned: usize,
    },
    /// The caller wanted it to end: [`Engine::end_when`](crate::Engine::end_when).
    #[error("ended before it was done")]
    Cancelled,
    /// Too little to score.
    #[error("the text has {0} token{s}; at least 2 are needed to score one", s = if *.0 == 1 { "" } else { "s" })]
    TextTooShort(usize),
    /// Its weights make no sense.
    #[error(
        "the model gives token {id} no likelihood that is a number: weights of it are NaN or infinite; get the model again"
    )]
    NotANumber {
        /// The token.
        id: u32,
    },
}
