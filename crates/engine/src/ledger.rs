//! The trust ledger of a run: loaded when the engine opens, saved while it computes and at the end.

use std::sync::Arc;

use hotset_base::{Bytes, ExpertKey, Families};
use hotset_format::{Checkpoint, ModelConfig, identity};
use hotset_ledger::{LedgerError, LedgerWriter};
use hotset_model::{KeepContexts, Qwen3Moe};
use hotset_outputs::Target;
use hotset_policy::contexts::{Contexts, ContextsOptions, ContextsShape};

use crate::EngineError;

/// Where a ledger is, and how it learns.
#[derive(Clone, Debug)]
pub struct LedgerSettings {
    /// Its file, claimed; one that does not exist is made.
    pub target: Arc<Target>,
    /// How contexts are told apart.
    pub options: ContextsOptions,
    /// Tokens between two saves.
    pub save_every: u64,
}

impl LedgerSettings {
    /// Tokens between two saves unless the user says otherwise.
    pub const SAVE_EVERY: u64 = 1024;

    /// A ledger with the usual settings.
    pub fn new(target: Arc<Target>) -> Self {
        Self { target, options: ContextsOptions::default(), save_every: Self::SAVE_EVERY }
    }

    /// Whether families change anything.
    pub fn wants_families(&self) -> bool {
        self.options.family_tokens > 0.0
    }

    /// What learning takes: the ledger, the one it began as, the hot set and the buffer of the writer.
    pub(crate) fn planned_bytes(&self, config: &ModelConfig, sessions: usize) -> Bytes {
        let shape = shape(config);
        let hot_set = Bytes((shape.all() * size_of::<(ExpertKey, f32)>()) as u64);
        let ledger = Contexts::planned_bytes(shape, self.options, sessions);
        ledger + ledger + hot_set + LedgerWriter::planned_bytes(shape, self.options)
    }
}

/// A ledger that was loaded or begun, for the model it is of.
pub(crate) struct OpenLedger {
    contexts: Contexts,
    identity: [u8; 32],
}

impl OpenLedger {
    /// # Errors
    /// If the file is there and cannot be used.
    pub fn load(
        settings: &LedgerSettings,
        checkpoint: &Checkpoint,
        families: &[Families],
        sessions: usize,
    ) -> Result<Self, EngineError> {
        let (identity, shape) = (identity(checkpoint)?, shape(&checkpoint.config));
        let mut contexts = match hotset_ledger::load(settings.target.at())? {
            Some(snapshot) => {
                snapshot.check_model(settings.target.shown(), identity, shape)?;
                snapshot.into_contexts(settings.options)
            }
            None => Contexts::new(shape, settings.options),
        };
        contexts.set_families(families);
        Ok(Self { contexts: contexts.following(sessions), identity })
    }

    /// Lets the model learn.
    pub fn begin(
        self,
        settings: &LedgerSettings,
        model: &mut Qwen3Moe,
    ) -> std::io::Result<Arc<LedgerWriter>> {
        let Self { contexts, identity } = self;
        let writer =
            LedgerWriter::start(Arc::clone(&settings.target), identity, contexts.shape(), settings.options)?;
        let writer = Arc::new(writer);
        let every = settings.save_every.max(1);
        let keeper = Keeper { writer: Arc::clone(&writer), every, next: contexts.tokens() + every };
        model.learn(contexts, Box::new(keeper));
        Ok(writer)
    }
}

/// Saves the ledger every so many tokens.
struct Keeper {
    writer: Arc<LedgerWriter>,
    every: u64,
    next: u64,
}

impl KeepContexts for Keeper {
    fn look(&mut self, contexts: &Contexts) {
        if contexts.tokens() >= self.next {
            self.writer.save(contexts);
            self.next = contexts.tokens() + self.every;
        }
    }
}

/// What was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerTotals {
    /// Contexts it knows.
    pub contexts: usize,
    /// Tokens it has seen.
    pub tokens: u64,
}

/// Saves what a model has learnt, and waits for it.
pub(crate) fn save(writer: &LedgerWriter, model: &Qwen3Moe) -> Result<Option<LedgerTotals>, LedgerError> {
    let Some(contexts) = model.contexts() else { return Ok(None) };
    writer.finish(contexts)?;
    Ok(Some(LedgerTotals { contexts: contexts.known().len(), tokens: contexts.tokens() }))
}

fn shape(config: &ModelConfig) -> ContextsShape {
    ContextsShape { layers: config.layers, experts: config.experts }
}
