//! One repetition: a prompt, some tokens to warm up, the tokens that count.

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use hotset_base::figures::Totals;
use hotset_base::limits::MAX_SEQUENCES;

use crate::figures::Snapshot;
use crate::machine::CpuTime;
use crate::step::check_cancelled;
use crate::{Engine, EngineError, Session, Turn, WantLogits};

/// What each session does in one repetition. Decoding is greedy and does not stop at stop tokens.
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
    /// The prompts, all their tokens.
    pub prefill: Totals,
    /// The tokens that count, of all sessions.
    pub decode: Totals,
    /// Wall time of each pass that counts, a token of every session: computing it, scoring the vocabulary and choosing
    /// the next.
    pub latencies: Vec<Duration>,
}

impl Engine {
    /// Runs a workload in emptied sessions: the prompt of each, then all decode together, a token of each in every pass.
    /// What is in the arena stays there from one repetition to the next, as it would between two answers. Every prompt
    /// has as many tokens as the workload says. `progress` is told of tokens computed, between the times that are
    /// taken of single passes.
    ///
    /// # Errors
    /// As [`Engine::generate`].
    ///
    /// # Panics
    /// If there is not one prompt for each session.
    pub fn repeat(
        &mut self,
        sessions: &mut [Session],
        prompts: &[Vec<u32>],
        workload: Workload,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Repetition, EngineError> {
        assert_eq!(sessions.len(), prompts.len(), "each session has a prompt");
        let mut out = Repetition { latencies: Vec::with_capacity(workload.predict), ..Repetition::default() };
        let (start, cpu) = (Snapshot::take(&self.tokens.model), CpuTime::now());
        let mut next = Vec::with_capacity(sessions.len());
        for (session, prompt) in sessions.iter_mut().zip(prompts) {
            next.push(self.begin(session, prompt, workload, progress)?);
        }
        let computed = prompts.iter().map(Vec::len).sum();
        out.prefill = Totals { cpu: cpu.since(computed), ..start.since(&self.tokens.model, computed) };
        for _ in 0..workload.warmup {
            self.decode_all(sessions, &mut next, progress)?;
        }
        let (start, cpu) = (Snapshot::take(&self.tokens.model), CpuTime::now());
        for _ in 0..workload.predict {
            out.latencies.push(self.decode_all(sessions, &mut next, progress)?);
        }
        let computed = workload.predict * sessions.len();
        out.decode = Totals { cpu: cpu.since(computed), ..start.since(&self.tokens.model, computed) };
        self.check_sources()?;
        Ok(out)
    }

    /// Computes one prompt. Gives the likeliest token after it.
    fn begin(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        workload: Workload,
        progress: &mut dyn FnMut(usize),
    ) -> Result<u32, EngineError> {
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
        let feed = self.prompt_feed(WantLogits::Last);
        self.tokens.feed(session, prompt, feed, self.cancel, &mut |_, pass| {
            progress(pass.len());
            Ok(())
        })?;
        let mut token = [0];
        self.tokens.likeliest(&mut token)?;
        Ok(token[0])
    }

    /// Computes the next token of every session, and puts the likeliest after it in its place. Gives the time it took.
    fn decode_all(
        &mut self,
        sessions: &mut [Session],
        next: &mut [u32],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Duration, EngineError> {
        check_cancelled(self.cancel)?;
        let began = Instant::now();
        let turns = sessions.iter_mut().zip(&*next).map(|(session, token)| Turn::decode(session, token));
        self.tokens.step(&mut turns.collect::<ArrayVec<_, MAX_SEQUENCES>>())?;
        self.tokens.likeliest(next)?;
        let time = began.elapsed();
        progress(sessions.len());
        Ok(time)
    }
}
