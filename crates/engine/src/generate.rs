//! Prompt in, answer out, one token at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use hotset_text::{Detokenizer, Sampler, StopStrings, Tokenizer};

use crate::figures::Snapshot;
use crate::step::{Feed, TokenLoop};
use crate::{Engine, EngineError, Figures, Session, Turn, WantLogits};

/// Why an answer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// A stop string came, the one of this number.
    StopString(usize),
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
            // As other programs, which say which one elsewhere.
            Self::Stop | Self::StopString(_) => "stop",
            Self::Length => "length",
            Self::ContextFull => "context_full",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a request produced.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The answer's tokens, without the one that ended it, but with those of a stop string.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// Prompt tokens that were in the context already.
    pub cached: usize,
    /// What it cost.
    pub figures: Figures,
}

/// Who is told how a request goes on.
pub trait Listener {
    /// `done` of `total` prompt tokens have been computed.
    fn prefill(&mut self, _done: usize, _total: usize) {}

    /// The answer's next piece of text; complete UTF-8, possibly empty.
    fn text(&mut self, piece: &str);
}

/// What one request carries through its phases.
struct Request<'a> {
    session: &'a mut Session,
    sampler: &'a mut Sampler,
    cancel: &'a AtomicBool,
    listener: &'a mut dyn Listener,
    /// Tokens to generate at most.
    limit: usize,
    stops: &'a mut StopStrings,
}

impl Engine {
    /// Answers a prompt. `prompt` is the whole context; what the session shares with it is kept.
    ///
    /// `max_tokens` and the context end the answer; so does `cancel`, between two tokens or two chunks of
    /// the prompt.
    pub fn generate(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        sampler: &mut Sampler,
        max_tokens: Option<usize>,
        cancel: &AtomicBool,
        listener: &mut dyn Listener,
    ) -> Result<Generation, EngineError> {
        let stops = &mut StopStrings::default();
        self.generate_until(session, prompt, sampler, (max_tokens, stops), cancel, listener)
    }

    /// The same; a stop string ends the answer too, and the text before it is the answer's.
    pub fn generate_until(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        sampler: &mut Sampler,
        (max_tokens, stops): (Option<usize>, &mut StopStrings),
        cancel: &AtomicBool,
        listener: &mut dyn Listener,
    ) -> Result<Generation, EngineError> {
        if prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        if prompt.len() > session.context() {
            return Err(EngineError::PromptTooLong { tokens: prompt.len(), context: session.context() });
        }
        let limit = max_tokens.unwrap_or(usize::MAX);
        let room = (session.context() - prompt.len() + 1).min(limit);
        let mut out = Generation {
            tokens: Vec::with_capacity(room),
            finish: Finish::Cancelled,
            cached: session.rewind_to_shared(prompt),
            figures: Figures::default(),
        };
        prompt.iter().for_each(|&token| sampler.accept(token));
        let feed = self.prompt_feed(WantLogits::Last);
        let (tokens, tokenizer) = (&mut self.tokens, &*self.tokenizer);
        let mut request = Request { session, sampler, cancel, listener, limit, stops };
        if request.prefill(tokens, feed, &prompt[out.cached..], &mut out)? {
            request.decode(tokens, tokenizer, &mut out)?;
        }
        self.check_sources()?;
        Ok(out)
    }
}

impl Request<'_> {
    /// Computes the prompt, a chunk at a time. Says whether it was not cancelled.
    fn prefill(
        &mut self,
        tokens: &mut TokenLoop,
        feed: Feed,
        prompt: &[u32],
        out: &mut Generation,
    ) -> Result<bool, EngineError> {
        let start = Snapshot::take(&tokens.model);
        let mut done = 0;
        let fed = tokens.feed(self.session, prompt, feed, self.cancel, &mut |_, pass| {
            done = pass.end;
            self.listener.prefill(done, prompt.len());
            Ok(())
        });
        out.figures.prefill = start.since(&tokens.model, done);
        match fed {
            Ok(()) => Ok(true),
            Err(EngineError::Cancelled) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Samples from the logits of the last row, computes the token, and so on. Allocates nothing.
    fn decode(
        &mut self,
        tokens: &mut TokenLoop,
        tokenizer: &Tokenizer,
        out: &mut Generation,
    ) -> Result<(), EngineError> {
        let start = Snapshot::take(&tokens.model);
        let mut text = Detokenizer::default();
        let mut computed = 0;
        out.finish = loop {
            if self.cancel.load(Ordering::Relaxed) {
                break Finish::Cancelled;
            }
            if out.tokens.len() == self.limit {
                break Finish::Length;
            }
            let token = self.sampler.sample(tokens.model.logits(0..1))?;
            self.sampler.accept(token);
            if tokenizer.is_stop(token) {
                break Finish::Stop;
            }
            if let Some(which) = self.stops.token(token) {
                break Finish::StopString(which);
            }
            out.tokens.push(token);
            if !tokenizer.is_special(token)
                && let Some(which) = self.show(text.push(tokenizer.token_bytes(token)))
            {
                break Finish::StopString(which);
            }
            if self.session.tokens().len() == self.session.context() {
                break Finish::ContextFull;
            }
            // The last token's own row is needed by nobody.
            if out.tokens.len() == self.limit {
                break Finish::Length;
            }
            tokens.step(&mut [Turn::decode(self.session, &token)])?;
            computed += 1;
        };
        out.figures.decode = start.since(&tokens.model, computed);
        if matches!(out.finish, Finish::StopString(_)) {
            // What is held came before a token that is a stop string; after one of text nothing is.
            self.listener.text(self.stops.finish());
        } else if let Some(which) = self.show(text.finish()) {
            out.finish = Finish::StopString(which);
        } else {
            self.listener.text(self.stops.finish());
        }
        Ok(())
    }

    /// Tells the listener what can be shown; which stop string has come, if one has.
    fn show(&mut self, piece: &str) -> Option<usize> {
        let (shown, stopped) = self.stops.push(piece);
        self.listener.text(shown);
        stopped
    }
}
