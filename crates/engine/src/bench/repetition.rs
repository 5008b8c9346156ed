//! One repetition: a prompt, some tokens to warm up, the tokens that count.

use std::time::{Duration, Instant};

use hotset_base::Phase;
use hotset_base::figures::Totals;
use hotset_model::Qwen3Moe;

use crate::engine::check_cancelled;
use crate::figures::Snapshot;
use crate::machine::CpuTime;
use crate::{Engine, EngineError, Session};

/// What one repetition does. Decoding is greedy and does not stop at stop tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Prompt tokens; at least one is computed, to have something to decode from.
    pub prompt: usize,
    /// Tokens decoded before counting starts.
    pub warmup: usize,
    /// Tokens that count.
    pub predict: usize,
}

impl Workload {
    /// Positions it takes.
    pub fn context(&self) -> usize {
        self.prompt.max(1) + self.warmup + self.predict
    }
}

/// What one repetition did.
#[derive(Clone, Debug, Default)]
pub struct Repetition {
    /// The prompt, all its tokens.
    pub prefill: Totals,
    /// The tokens that count.
    pub decode: Totals,
    /// Wall time of each token that counts: computing it, scoring the vocabulary and choosing the next.
    pub latencies: Vec<Duration>,
}

impl Engine {
    /// Runs a workload in an emptied session. What is in the arena stays there from one repetition to the
    /// next, as it would between two answers. `prompt` has as many tokens as the workload says. `progress` is told
    /// of tokens computed, between the times that are taken of single tokens.
    ///
    /// # Errors
    /// As [`Engine::generate`].
    pub fn repeat(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        workload: Workload,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Repetition, EngineError> {
        if prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        if workload.context() > session.context() {
            return Err(EngineError::PromptTooLong {
                tokens: workload.context(),
                context: session.context(),
            });
        }
        session.clear();
        let cancel = self.cancel();
        let model = self.model();
        let mut out = Repetition { latencies: Vec::with_capacity(workload.predict), ..Repetition::default() };
        model.enter(Phase::Setup);
        let (start, cpu) = (Snapshot::take(model), CpuTime::now());
        let mut row = 0;
        for chunk in prompt.chunks(model.chunk()) {
            check_cancelled(cancel)?;
            session.append(model, chunk)?;
            row = chunk.len() - 1;
            progress(chunk.len());
        }
        let mut token = likeliest(model, row)?;
        out.prefill = Totals { cpu: cpu.since(prompt.len()), ..start.since(model, prompt.len()) };
        model.enter(Phase::Narration);
        for _ in 0..workload.warmup {
            check_cancelled(cancel)?;
            token = decode(model, session, token)?;
            progress(1);
        }
        let (start, cpu) = (Snapshot::take(model), CpuTime::now());
        for _ in 0..workload.predict {
            check_cancelled(cancel)?;
            let began = Instant::now();
            token = decode(model, session, token)?;
            out.latencies.push(began.elapsed());
            progress(1);
        }
        out.decode = Totals { cpu: cpu.since(workload.predict), ..start.since(model, workload.predict) };
        self.check_sources()?;
        Ok(out)
    }
}

fn decode(model: &mut Qwen3Moe, session: &mut Session, token: u32) -> Result<u32, EngineError> {
    session.append(model, &[token])?;
    likeliest(model, 0)
}

/// The likeliest token after a row of the last pass; of equals, the first.
fn likeliest(model: &mut Qwen3Moe, row: usize) -> Result<u32, EngineError> {
    let logits = model.logits(row..row + 1);
    let best = logits.iter().enumerate().fold(0, |best, (i, x)| if *x > logits[best] { i } else { best });
    // Nothing is larger than a first number that is none.
    if logits[best].is_finite() { Ok(best as u32) } else { Err(EngineError::NotANumber { id: best as u32 }) }
}
