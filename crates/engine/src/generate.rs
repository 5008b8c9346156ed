//! Prompt in, answer out, one token at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use hotset_text::{Detokenizer, Sampler};

use crate::figures::Snapshot;
use crate::{Engine, EngineError, Figures, Session};

/// Why an answer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// The token limit was reached.
    Length,
    /// The context is full.
    ContextFull,
    /// The caller cancelled.
    Cancelled,
}

impl Finish {
    /// As an API names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContextFull => "context_full",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a request produced.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The answer's tokens, without the one that ended it.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// Prompt tokens that were in the context already.
    pub cached: usize,
    /// What it cost.
    pub figures: Figures,
}

impl Engine {
    /// Answers a prompt. `prompt` is the whole context; what the session shares with it is kept.
    ///
    /// `emit` gets text as it becomes complete. Sets of `max_tokens` and the context end the answer;
    /// so does `cancel`, between two tokens or two chunks of the prompt.
    pub fn generate(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        sampler: &mut Sampler,
        max_tokens: Option<usize>,
        cancel: &AtomicBool,
        emit: &mut dyn FnMut(&str),
    ) -> Result<Generation, EngineError> {
        if prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        if prompt.len() > session.context() {
            return Err(EngineError::PromptTooLong { tokens: prompt.len(), context: session.context() });
        }
        let (model, tokenizer) = self.parts();
        let cached = session.rewind_to_shared(prompt);
        let limit = max_tokens.unwrap_or(usize::MAX);
        let room = (session.context() - prompt.len() + 1).min(limit);
        let mut out = Generation {
            tokens: Vec::with_capacity(room),
            finish: Finish::Cancelled,
            cached,
            figures: Figures::default(),
        };
        let mut text = Detokenizer::default();
        prompt.iter().for_each(|&token| sampler.accept(token));

        let prefill = Snapshot::take(model);
        for chunk in prompt[cached..].chunks(model.chunk()) {
            if cancel.load(Ordering::Relaxed) {
                out.figures.prefill = prefill.phase(model, session.tokens().len() - cached);
                return Ok(out);
            }
            session.append(model, chunk)?;
        }
        out.figures.prefill = prefill.phase(model, prompt.len() - cached);

        // The last row of the last pass: a whole chunk after the prompt, one token ever after.
        let mut row = (prompt.len() - cached - 1) % model.chunk();
        let decode = Snapshot::take(model);
        let mut computed = 0;
        out.finish = loop {
            if cancel.load(Ordering::Relaxed) {
                break Finish::Cancelled;
            }
            if out.tokens.len() == limit {
                break Finish::Length;
            }
            let token = sampler.sample(model.logits(row..row + 1))?;
            sampler.accept(token);
            if tokenizer.is_stop(token) {
                break Finish::Stop;
            }
            out.tokens.push(token);
            if !tokenizer.is_special(token) {
                emit(text.push(tokenizer.token_bytes(token)));
            }
            if session.tokens().len() == session.context() {
                break Finish::ContextFull;
            }
            if out.tokens.len() == limit {
                break Finish::Length;
            }
            session.append(model, &[token])?;
            computed += 1;
            row = 0;
        };
        out.figures.decode = decode.phase(model, computed);
        emit(text.finish());
        Ok(out)
    }
}
