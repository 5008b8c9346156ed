//! The price of a lossy routing policy: the same text under the model's own routing and under the policy.
//!
//! Both passes are teacher-forced, token by token as in decoding (in a wide pass all tokens of a layer are
//! routed before anything is read, and a policy is hardly asked), and both start with an empty arena: the
//! policy lives with the residency that its own choices made.

use std::ops::Range;

use hotset_base::{Bytes, Phase, RowKind};
use hotset_policy::route::RouterOptions;

use crate::figures::Snapshot;
use crate::step::{Feed, likeliest};
use crate::{Engine, EngineError, Perplexity, Session, WantLogits, Windowing};

/// Tokens of a distribution that are told apart; the rest counts as one.
const KEPT: usize = 64;

/// What a policy costs in quality and saves in reads, on one text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Price {
    /// The model's own routing.
    pub native: Perplexity,
    /// The policy.
    pub policy: Perplexity,
    /// Sum over scored tokens of KL(native || policy), nats. The native top 64 tokens are told apart and the
    /// others taken together, which can only make it smaller.
    pub kl: f64,
    /// Scored tokens after which both think the same token likeliest.
    pub same_top: usize,
}

impl Price {
    /// Perplexity of the policy over that of the model's own routing, less 1.
    pub fn perplexity_change(&self) -> f64 {
        ((self.policy.nll - self.native.nll) / self.native.scored as f64).exp_m1()
    }

    /// Mean KL(native || policy) per scored token, nats.
    pub fn mean_kl(&self) -> f64 {
        self.kl / self.native.scored as f64
    }

    /// The share of scored tokens after which both think the same token likeliest.
    pub fn top_agreement(&self) -> f64 {
        self.same_top as f64 / self.native.scored as f64
    }
}

/// Bytes that [`price`] keeps of a text of so many tokens: the tokens and a distribution for each, and one row
/// of logits that is sorted.
pub(crate) fn planned_bytes(tokens: usize, vocab: usize) -> Bytes {
    if tokens == 0 {
        return Bytes(0);
    }
    let each = size_of::<u32>() + KEPT.min(vocab) * size_of::<(u32, f32)>();
    Bytes((tokens * each + vocab * size_of::<(u32, f32)>()) as u64)
}

/// The likeliest tokens after every scored position, in one list: [`KEPT`] for each, or the whole vocabulary.
struct References {
    kept: usize,
    all: Vec<(u32, f32)>,
    /// A row of logits being sorted.
    row: Vec<(u32, f32)>,
}

impl References {
    fn with_capacity(positions: usize, vocab: usize) -> Self {
        let kept = KEPT.min(vocab);
        Self { kept, all: Vec::with_capacity(positions * kept), row: Vec::with_capacity(vocab) }
    }

    fn push(&mut self, logits: &[f32]) {
        let log_sum = log_sum_exp(logits);
        let (row, kept) = (&mut self.row, self.kept);
        row.clear();
        row.extend(logits.iter().enumerate().map(|(id, &x)| (id as u32, x)));
        let better = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if kept < row.len() {
            row.select_nth_unstable_by(kept, better);
        }
        row.truncate(kept);
        row.sort_unstable_by(better);
        let probability = |x: f32| (f64::from(x) - log_sum).exp() as f32;
        self.all.extend(row.iter().map(|&(id, x)| (id, probability(x))));
    }

    fn iter(&self) -> impl Iterator<Item = Reference<'_>> {
        self.all.chunks(self.kept).map(|top| Reference { top })
    }
}

/// The likeliest tokens after one position.
struct Reference<'r> {
    /// Token and probability, likeliest first.
    top: &'r [(u32, f32)],
}

impl Reference<'_> {
    /// KL(this || the distribution of `logits`), nats.
    fn divergence(&self, logits: &[f32]) -> f64 {
        let log_sum = log_sum_exp(logits);
        let (mut kl, mut p_rest, mut q_rest) = (0.0, 1.0, 1.0);
        for &(id, p) in self.top {
            let (p, log_q) = (f64::from(p), f64::from(logits[id as usize]) - log_sum);
            if p > 0.0 {
                kl += p * (p.ln() - log_q);
            }
            p_rest -= p;
            q_rest -= log_q.exp();
        }
        // Rounding may leave a rest of nothing a little below it.
        if p_rest > 1e-7 {
            kl += p_rest * (p_rest / q_rest.max(1e-12)).ln();
        }
        kl.max(0.0)
    }
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(max) + logits.iter().map(|x| f64::from((x - max).exp())).sum::<f64>().ln()
}

/// Prices the policy the engine was opened with; `progress` is told the tokens done, of twice the text.
///
/// The native distributions are kept meanwhile, 512 bytes for a scored token: tell the plan how many there may be
/// with [`EngineOptions::compared_tokens`](crate::EngineOptions::compared_tokens).
pub fn price(
    engine: &mut Engine,
    session: &mut Session,
    text: &[u32],
    (window, windowing): (usize, Windowing),
    progress: &mut dyn FnMut(usize),
) -> Result<Price, EngineError> {
    let router = engine.router();
    let vocab = engine.config().vocab;
    let mut references = References::with_capacity(text.len(), vocab);
    let mut price = Price::default();
    engine.restart(RouterOptions::Native);
    let native = step(engine, session, text, (window, windowing), progress, |logits| {
        references.push(logits);
    });
    // Whatever happens, the engine is left with the policy it was opened with.
    engine.restart(router);
    price.native = native?;
    let mut reference = references.iter();
    let mut progress = |done| progress(text.len() + done);
    price.policy = step(engine, session, text, (window, windowing), &mut progress, |logits| {
        if let Some(reference) = reference.next() {
            price.kl += reference.divergence(logits);
            price.same_top += usize::from(reference.top[0].0 == likeliest(logits));
        }
    })?;
    Ok(price)
}

/// Scores a text token by token; `look` sees the logits before every scored token.
fn step(
    engine: &mut Engine,
    session: &mut Session,
    text: &[u32],
    (window, windowing): (usize, Windowing),
    progress: &mut dyn FnMut(usize),
    mut look: impl FnMut(&[f32]),
) -> Result<Perplexity, EngineError> {
    let start = Snapshot::take(&engine.tokens.model);
    let mut total = Perplexity { tokens: text.len(), ..Default::default() };
    let mut computed = 0;
    for tokens in text.chunks(window) {
        let scored = windowing.scored(tokens.len(), window);
        if !scored.is_empty() {
            session.clear();
            let mut count = || {
                computed += 1;
                progress(computed);
            };
            let nll = &mut total.nll;
            step_window(engine, session, tokens, scored.clone(), nll, &mut count, &mut look)?;
            total.count(engine.tokenizer(), &tokens[scored]);
        }
    }
    session.clear();
    if total.scored == 0 {
        return Err(EngineError::TextTooShort(text.len()));
    }
    total.figures = start.since(&engine.tokens.model, computed);
    engine.check_sources()?;
    Ok(total)
}

/// Adds the negative log likelihoods of the `scored` tokens of one window to `nll`, token by token as in decoding;
/// `count` is called after each, `look` sees the logits before every scored one.
pub(crate) fn step_window(
    engine: &mut Engine,
    session: &mut Session,
    window: &[u32],
    scored: Range<usize>,
    nll: &mut f64,
    count: &mut dyn FnMut(),
    look: &mut dyn FnMut(&[f32]),
) -> Result<(), EngineError> {
    let feed = Feed { phase: Phase::Narration, kind: RowKind::Decode, logits: WantLogits::All, chunk: 1 };
    engine.tokens.feed(session, window, feed, engine.cancel, &mut |tokens, pass| {
        if scored.contains(&pass.end) {
            let (id, logits) = (window[pass.end], tokens.model.logits(0..1));
            let loss = log_sum_exp(logits) - f64::from(logits[id as usize]);
            if !loss.is_finite() {
                return Err(EngineError::NotANumber { id });
            }
            *nll += loss;
            look(logits);
        }
        count();
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KL(softmax of `native` || softmax of `policy`) over all tokens, nats.
    fn exact_divergence(native: &[f32], policy: &[f32]) -> f64 {
        let (zp, zq) = (log_sum_exp(native), log_sum_exp(policy));
        let term = |(&a, &b): (&f32, &f32)| {
            let log_p = f64::from(a) - zp;
            log_p.exp() * (log_p - (f64::from(b) - zq))
        };
        native.iter().zip(policy).map(term).sum()
    }

    /// The same of what is kept of `native`.
    fn divergence(native: &[f32], policy: &[f32]) -> f64 {
        let mut references = References::with_capacity(1, native.len());
        references.push(native);
        references.iter().next().unwrap().divergence(policy)
    }

    #[test]
    fn divergence_is_that_of_the_definition() {
        let native: Vec<f32> = (0..50).map(|i| (i as f32 * 0.7).sin() * 3.0).collect();
        let policy: Vec<f32> = (0..50).map(|i| (i as f32 * 0.9).cos() * 2.0).collect();
        let exact = exact_divergence(&native, &policy);
        let found = divergence(&native, &policy);
        assert!((found - exact).abs() < 1e-5, "{found} instead of {exact}");
        assert!(divergence(&native, &native) < 1e-6);
    }

    #[test]
    fn tokens_taken_together_make_it_no_larger() {
        let native: Vec<f32> = (0..5000).map(|i| ((i * 37 % 101) as f32) * 0.05).collect();
        let policy: Vec<f32> = (0..5000).map(|i| ((i * 53 % 97) as f32) * 0.05).collect();
        let exact = exact_divergence(&native, &policy);
        let found = divergence(&native, &policy);
        assert!(found >= 0.0 && found <= exact + 1e-6, "{found}, {exact}");
    }
}
