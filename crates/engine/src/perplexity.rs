//! How well the model predicts a text: perplexity over windows, teacher-forced.

use std::ops::Range;

use hotset_base::Phase;
use hotset_model::KvCache;
use hotset_text::Tokenizer;

use crate::figures::Snapshot;
use crate::pricing::step;
use crate::{Engine, EngineError, PhaseFigures, Session};

/// How a text is cut and which tokens are scored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Windowing {
    /// Windows that do not overlap, each on its own from position 0; every token but a window's
    /// first is scored; a last, shorter window counts if it has two tokens.
    Whole,
    /// llama.cpp's `llama-perplexity`: full windows only; the second half of each is scored.
    SecondHalf,
}

/// A text's score.
#[derive(Clone, Copy, Debug, Default)]
pub struct Perplexity {
    /// Tokens of the text.
    pub tokens: usize,
    /// Tokens scored.
    pub scored: usize,
    /// Bytes of the text that the scored tokens make up.
    pub scored_bytes: usize,
    /// Sum of their negative log likelihoods, nats.
    pub nll: f64,
    /// What it cost.
    pub figures: PhaseFigures,
}

impl Perplexity {
    /// `exp(nll / scored)`
    pub fn perplexity(&self) -> f64 {
        (self.nll / self.scored as f64).exp()
    }

    /// Bits per byte: comparable between vocabularies.
    pub fn bits_per_byte(&self) -> f64 {
        self.nll / std::f64::consts::LN_2 / self.scored_bytes as f64
    }

    /// Counts tokens that have been scored.
    pub(crate) fn count(&mut self, tokenizer: &Tokenizer, tokens: &[u32]) {
        self.scored += tokens.len();
        self.scored_bytes += tokens.iter().map(|&id| tokenizer.token_bytes(id).len()).sum::<usize>();
    }
}

impl Windowing {
    /// The tokens of a window of `len` that are scored, given that the window is cut to `window`.
    pub(crate) fn scored(self, len: usize, window: usize) -> Range<usize> {
        match self {
            Self::Whole => 1..len,
            // As llama.cpp: the token after position n/2 is the first one scored.
            Self::SecondHalf if len == window => window / 2 + 1..len,
            Self::SecondHalf => len..len,
        }
    }
}

/// Scores a text; `progress` is told the tokens done. Under a lossy routing policy token by token, as the
/// policy would be asked while decoding; else a chunk at a time.
pub fn perplexity(
    engine: &mut Engine,
    session: &mut Session,
    text: &[u32],
    window: usize,
    windowing: Windowing,
    progress: &mut dyn FnMut(usize),
) -> Result<Perplexity, EngineError> {
    if text.len() < 2 {
        return Err(EngineError::TextTooShort(text.len()));
    }
    if engine.router().is_lossy() {
        return step(engine, session, text, (window, windowing), progress, |_| {});
    }
    engine.model().enter(Phase::Setup);
    let start = Snapshot::take(engine.model());
    let mut total = Perplexity { tokens: text.len(), ..Default::default() };
    let mut computed = 0;
    for tokens in text.chunks(window) {
        let scored = windowing.scored(tokens.len(), window);
        if !scored.is_empty() {
            session.clear();
            total.nll += score_window(engine, &mut session.cache, tokens, scored.clone())?;
            total.count(engine.tokenizer(), &tokens[scored]);
            computed += tokens.len();
        }
        progress(computed);
    }
    session.clear();
    if total.scored == 0 {
        return Err(EngineError::TextTooShort(text.len()));
    }
    total.figures = start.phase(engine.model(), computed);
    Ok(total)
}

/// Negative log likelihood of the `scored` tokens of one window.
fn score_window(
    engine: &mut Engine,
    cache: &mut KvCache,
    tokens: &[u32],
    scored: Range<usize>,
) -> Result<f64, EngineError> {
    let model = engine.model();
    let (chunk, rows) = (model.chunk(), model.logits_rows());
    let mut nll = 0.0;
    let mut losses = vec![0.0; rows];
    for first in (0..tokens.len()).step_by(chunk) {
        let end = (first + chunk).min(tokens.len());
        model.forward(cache, &tokens[first..end])?;
        // The row after token i predicts token i + 1.
        let wanted = scored.start.max(first + 1)..scored.end.min(end + 1);
        let mut at = wanted.start;
        while at < wanted.end {
            let next = (at + rows).min(wanted.end);
            let losses = &mut losses[..next - at];
            model.losses(at - 1 - first..next - 1 - first, &tokens[at..next], losses);
            if let Some(bad) = losses.iter().position(|loss| !loss.is_finite()) {
                return Err(EngineError::NotANumber { id: tokens[at + bad] });
            }
            nll += losses.iter().sum::<f64>();
            at = next;
        }
    }
    Ok(nll)
}
