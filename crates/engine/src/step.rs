//! The one token loop: rows of one session or several go through the model together, pass after pass.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hotset_base::{Batch, Phase, Row, RowKind};
use hotset_model::{Caches, ForwardError, Qwen3Moe};

use crate::session::Seats;
use crate::{EngineError, Session};

/// What one session brings to a pass.
pub struct Turn<'a> {
    /// Whose.
    pub session: &'a mut Session,
    /// Follow those that the session holds; at least one.
    pub tokens: &'a [u32],
    /// What they are for.
    pub phase: Phase,
    /// Where they come from.
    pub kind: RowKind,
    /// Whose scores are wanted.
    pub logits: WantLogits,
}

/// The tokens after which scores of the next are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantLogits {
    /// None.
    None,
    /// The last.
    Last,
    /// All.
    All,
}

impl WantLogits {
    fn of(self, last: bool) -> bool {
        self == Self::All || (self == Self::Last && last)
    }
}

impl<'a> Turn<'a> {
    /// A token of an answer, after which the next is chosen.
    pub fn decode(session: &'a mut Session, token: &'a u32) -> Self {
        let (phase, kind) = (Phase::Narration, RowKind::Decode);
        Self { session, tokens: std::slice::from_ref(token), phase, kind, logits: WantLogits::Last }
    }
}

/// How a text that is given is computed.
#[derive(Clone, Copy)]
pub(crate) struct Feed {
    pub phase: Phase,
    pub kind: RowKind,
    pub logits: WantLogits,
    /// Tokens of a pass.
    pub chunk: usize,
}

/// Is shown every pass of a text, with the tokens of it that the pass took.
pub(crate) type After<'a> = dyn FnMut(&mut TokenLoop, Range<usize>) -> Result<(), EngineError> + 'a;

/// The model, what it remembers of every session, and the rows of a pass.
pub(crate) struct TokenLoop {
    pub model: Qwen3Moe,
    caches: Caches,
    seats: Arc<Seats>,
    /// Sized for the most rows of a pass.
    rows: Vec<Row>,
}

impl TokenLoop {
    pub fn new(model: Qwen3Moe, caches: Caches, seats: Arc<Seats>) -> Self {
        Self { rows: Vec::with_capacity(model.chunk()), model, caches, seats }
    }

    pub fn seats(&self) -> &Arc<Seats> {
        &self.seats
    }

    /// One pass: the tokens of all turns together. On an error the sessions are as before.
    ///
    /// # Panics
    /// If a session is another engine's.
    pub fn step(&mut self, turns: &mut [Turn<'_>]) -> Result<(), ForwardError> {
        self.rows.clear();
        for turn in turns.iter() {
            let sequence = turn.session.sequence_of(&self.seats);
            let held = turn.session.tokens().len();
            // What a session has given up, or a failed pass has begun, is overwritten.
            self.caches.truncate(sequence, held);
            for (i, &token) in turn.tokens.iter().enumerate().take(self.model.chunk() + 1) {
                let wants_logits = turn.logits.of(i + 1 == turn.tokens.len());
                let position = (held + i) as u32;
                let (phase, kind) = (turn.phase, turn.kind);
                self.rows.push(Row { sequence, position, token, phase, kind, wants_logits });
            }
        }
        self.model.forward(&Batch::new(&self.rows)?, &mut self.caches)?;
        turns.iter_mut().for_each(|turn| turn.session.extend(turn.tokens));
        Ok(())
    }

    /// A text after what a session holds, pass after pass.
    pub fn feed(
        &mut self,
        session: &mut Session,
        text: &[u32],
        feed: Feed,
        cancel: &AtomicBool,
        after: &mut After<'_>,
    ) -> Result<(), EngineError> {
        let Feed { phase, kind, chunk, .. } = feed;
        let mut done = 0;
        for tokens in text.chunks(chunk) {
            check_cancelled(cancel)?;
            let pass = done..done + tokens.len();
            let logits = match feed.logits {
                WantLogits::Last if pass.end < text.len() => WantLogits::None,
                wanted => wanted,
            };
            self.step(&mut [Turn { session, tokens, phase, kind, logits }])?;
            done = pass.end;
            after(self, pass)?;
        }
        Ok(())
    }

    /// The likeliest token after each of the first rows that want logits; of equals, the first.
    pub fn likeliest(&mut self, out: &mut [u32]) -> Result<(), EngineError> {
        let (at_once, vocab) = (self.model.logits_rows(), self.model.config().vocab);
        for (i, out) in out.chunks_mut(at_once).enumerate() {
            let first = i * at_once;
            let logits = self.model.logits(first..first + out.len());
            for (logits, out) in logits.chunks_exact(vocab).zip(out) {
                *out = likeliest(logits);
                // Nothing is larger than a first number that is none.
                if !logits[*out as usize].is_finite() {
                    return Err(EngineError::NotANumber { id: *out });
                }
            }
        }
        Ok(())
    }
}

/// The place of the largest; of equals, the first.
pub(crate) fn likeliest(logits: &[f32]) -> u32 {
    logits.iter().enumerate().fold(0, |best, (i, x)| if *x > logits[best] { i } else { best }) as u32
}

/// Ends what is under way if the caller wants it to.
pub(crate) fn check_cancelled(cancel: &AtomicBool) -> Result<(), EngineError> {
    if cancel.load(Ordering::Relaxed) { Err(EngineError::Cancelled) } else { Ok(()) }
}
