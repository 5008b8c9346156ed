//! Between text and token ids: tokenizer, incremental detokenizer, chat template and sampler.
//!
//! Owns everything that turns a conversation into ids and a row of logits into the next piece of
//! text. It must never open a file, read a clock, use the network, print, or run anything a model
//! file says beyond a chat template inside its fuel, recursion and size limits. Every input (token
//! tables, templates, prompts, logits) is untrusted: it is refused with an error, never a panic.
#![forbid(unsafe_code)]

mod added;
mod byte_level;
mod candidates;
mod char_class;
mod chat;
mod composer;
mod detokenizer;
mod encoder;
mod jinja;
mod long_word;
mod merges;
mod reader;
mod rng;
mod runs;
mod sampler;
mod sampler_config;
mod stop_strings;
mod token_table;
mod tokenizer;
mod variables;
mod words;

pub use chat::{ChatMessage, ChatTemplate, TemplateError};
pub use detokenizer::Detokenizer;
pub use encoder::{Encoder, Ids};
pub use reader::{TextError, TextReader};
pub use sampler::Sampler;
pub use sampler_config::{LogitBias, SamplerConfig, SamplerError};
pub use stop_strings::{StopError, StopStrings};
pub use tokenizer::{QWEN2_PATTERN, Tokenizer, TokenizerError};
pub use variables::{Variables, VariablesError};
