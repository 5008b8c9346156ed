//! How well the model predicts a text: perplexity over windows, teacher-forced.

use std::ops::Range;

use hotset_base::figures::Totals;
use hotset_text::Tokenizer;

use crate::figures::Snapshot;
use crate::pricing::step_window;
use crate::{Engine, EngineError, Session, WantLogits};

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
    pub figures: Totals,
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

/// Scores a text; `progress` is told the bytes of it that are done.
pub fn perplexity(
    engine: &mut Engine,
    session: &mut Session,
    text: &[u32],
    window: usize,
    windowing: Windowing,
    progress: &mut dyn FnMut(usize),
) -> Result<Perplexity, EngineError> {
    let mut scorer = Scorer::begin(engine, session, (window, windowing), progress);
    text.iter().try_for_each(|&token| scorer.push(token))?;
    scorer.finish()
}

/// A text being scored: every window as soon as it is full, so that the text is never held. Under a lossy
/// routing policy token by token, as the policy would be asked while decoding; else a chunk at a time.
pub struct Scorer<'a> {
    engine: &'a mut Engine,
    session: &'a mut Session,
    windowing: Windowing,
    window: usize,
    /// Tokens of the window that is not full yet.
    tokens: Vec<u32>,
    start: Snapshot,
    total: Perplexity,
    /// Tokens computed.
    computed: usize,
    /// Bytes of text done.
    done: usize,
    progress: &'a mut dyn FnMut(usize),
}

impl<'a> Scorer<'a> {
    /// Windows are of so many tokens; `progress` is told the bytes of text that are done.
    pub fn begin(
        engine: &'a mut Engine,
        session: &'a mut Session,
        (window, windowing): (usize, Windowing),
        progress: &'a mut dyn FnMut(usize),
    ) -> Self {
        Self {
            start: Snapshot::take(&engine.tokens.model),
            engine,
            session,
            windowing,
            window,
            tokens: Vec::with_capacity(window),
            total: Perplexity::default(),
            computed: 0,
            done: 0,
            progress,
        }
    }

    /// Tokens of the text so far.
    pub fn tokens(&self) -> usize {
        self.total.tokens
    }

    /// Takes the text's next token.
    ///
    /// # Errors
    /// If the window that it fills cannot be computed.
    pub fn push(&mut self, token: u32) -> Result<(), EngineError> {
        self.tokens.push(token);
        self.total.tokens += 1;
        if self.tokens.len() == self.window { self.score() } else { Ok(()) }
    }

    /// Ends the text.
    ///
    /// # Errors
    /// As [`push`](Self::push), or if no token could be scored.
    pub fn finish(mut self) -> Result<Perplexity, EngineError> {
        self.score()?;
        self.session.clear();
        if self.total.scored == 0 {
            return Err(EngineError::TextTooShort(self.total.tokens));
        }
        self.total.figures = self.start.since(&self.engine.tokens.model, self.computed);
        self.engine.check_sources()?;
        Ok(self.total)
    }

    fn score(&mut self) -> Result<(), EngineError> {
        let scored = self.windowing.scored(self.tokens.len(), self.window);
        if !scored.is_empty() {
            self.session.clear();
            let (session, tokens) = (&mut *self.session, &self.tokens[..]);
            let nll = &mut self.total.nll;
            if self.engine.router().is_lossy() {
                step_window(self.engine, session, tokens, scored.clone(), nll, &mut || {}, &mut |_| {})?;
            } else {
                *nll += score_window(self.engine, session, tokens, scored.clone())?;
            }
            self.total.count(self.engine.tokenizer(), &tokens[scored]);
            self.computed += tokens.len();
        }
        let bytes = self.tokens.iter().map(|&id| self.engine.tokenizer().token_bytes(id).len());
        self.done += bytes.sum::<usize>();
        (self.progress)(self.done);
        self.tokens.clear();
        Ok(())
    }
}

/// Negative log likelihood of the `scored` tokens of one window, a chunk at a time.
fn score_window(
    engine: &mut Engine,
    session: &mut Session,
    window: &[u32],
    scored: Range<usize>,
) -> Result<f64, EngineError> {
    let (feed, rows) = (engine.prompt_feed(WantLogits::All), engine.logits_rows());
    let mut nll = 0.0;
    let mut losses = vec![0.0; rows];
    engine.tokens.feed(session, window, feed, engine.cancel, &mut |tokens, pass| {
        // The row after token i predicts token i + 1.
        let wanted = scored.start.max(pass.start + 1)..scored.end.min(pass.end + 1);
        let mut at = wanted.start;
        while at < wanted.end {
            let next = (at + rows).min(wanted.end);
            let losses = &mut losses[..next - at];
            tokens.model.losses(at - 1 - pass.start..next - 1 - pass.start, &window[at..next], losses);
            if let Some(bad) = losses.iter().position(|loss| !loss.is_finite()) {
                return Err(EngineError::NotANumber { id: window[at + bad] });
            }
            nll += losses.iter().sum::<f64>();
            at = next;
        }
        Ok(())
    })?;
    Ok(nll)
}
