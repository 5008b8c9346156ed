//! One repetition: a prompt, some tokens to warm up, the tokens that count.

use std::time::{Duration, Instant};

use crate::figures::Snapshot;
use crate::machine::CpuTime;
use crate::step::{TokenLoop, check_cancelled};
use crate::{Engine, EngineError, PhaseFigures, Session, Turn, WantLogits};

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
    pub prefill: PhaseFigures,
    /// The tokens that count.
    pub decode: PhaseFigures,
    /// Processor time of the prompt.
    pub prefill_cpu: CpuTime,
    /// Processor time of the tokens that count.
    pub decode_cpu: CpuTime,
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
        let (cancel, feed) = (self.cancel, self.prompt_feed(WantLogits::Last));
        let tokens = &mut self.tokens;
        let mut out = Repetition { latencies: Vec::with_capacity(workload.predict), ..Repetition::default() };
        let (start, cpu) = (Snapshot::take(&tokens.model), CpuTime::now());
        tokens.feed(session, prompt, feed, cancel, &mut |_, pass| {
            progress(pass.len());
            Ok(())
        })?;
        let mut token = tokens.likeliest(0)?;
        (out.prefill, out.prefill_cpu) = (start.phase(&tokens.model, prompt.len()), CpuTime::now() - cpu);
        let mut decode = |tokens: &mut TokenLoop| {
            check_cancelled(cancel)?;
            let began = Instant::now();
            tokens.step(&mut [Turn::decode(session, &token)])?;
            token = tokens.likeliest(0)?;
            let time = began.elapsed();
            progress(1);
            Ok::<_, EngineError>(time)
        };
        for _ in 0..workload.warmup {
            decode(tokens)?;
        }
        let (start, cpu) = (Snapshot::take(&tokens.model), CpuTime::now());
        for _ in 0..workload.predict {
            out.latencies.push(decode(tokens)?);
        }
        (out.decode, out.decode_cpu) = (start.phase(&tokens.model, workload.predict), CpuTime::now() - cpu);
        self.check_sources()?;
        Ok(out)
    }
}
