//! A model ready to compute, and what can be done with it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hotset_base::figures::Totals;
use hotset_base::{Architecture, LayerId, Phase, RowKind};
use hotset_format::{Checkpoint, ModelConfig, ModelFile};
use hotset_ledger::LedgerWriter;
use hotset_model::RouterProbe;
use hotset_outputs::PartialFile;
use hotset_policy::contexts::Contexts;
use hotset_policy::route::RouterOptions;
use hotset_residency::Timing;
use hotset_text::Tokenizer;
use hotset_trace::{TraceHeader, TraceTotals};

use crate::open::router_shape;
use crate::step::{Feed, TokenLoop};
use crate::{
    EngineError, EngineOptions, LedgerTotals, Plan, Prepared, Session, Tracing, Turn, WantLogits, ledger,
};

/// A model ready to compute, with its vocabulary.
pub struct Engine {
    pub(crate) tokens: TokenLoop,
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) plan: Plan,
    pub(crate) options: EngineOptions,
    pub(crate) router: RouterOptions,
    pub(crate) architecture: Architecture,
    /// `[layers]`: weights of one expert.
    pub(crate) expert_bytes: Vec<u64>,
    pub(crate) tracing: Option<Tracing>,
    pub(crate) ledger: Option<Arc<LedgerWriter>>,
    /// The files of a model without checksums.
    pub(crate) unsealed: Vec<ModelFile>,
    /// Set by whoever wants scoring and measuring to end.
    pub(crate) cancel: &'static AtomicBool,
}

pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

impl Engine {
    /// Loads the vocabulary and plans; [`Prepared::open`] opens as planned.
    ///
    /// # Errors
    /// If the vocabulary is unusable, or the model does not fit.
    pub fn prepare(checkpoint: &Checkpoint, options: EngineOptions) -> Result<Prepared<'_>, EngineError> {
        Prepared::new(checkpoint, options)
    }

    /// Scoring and measuring end between two passes once this is set, with [`EngineError::Cancelled`].
    pub fn end_when(&mut self, cancel: &'static AtomicBool) {
        self.cancel = cancel;
    }

    /// Refuses to vouch for what was computed from files that changed meanwhile. The bytes of a store are
    /// checked as they are read; other formats carry no checksums.
    pub(crate) fn check_sources(&self) -> Result<(), EngineError> {
        Ok(self.unsealed.iter().try_for_each(ModelFile::check_unchanged)?)
    }

    /// The plan it was opened with.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The same, for whoever encodes while the engine computes.
    pub fn shared_tokenizer(&self) -> Arc<Tokenizer> {
        Arc::clone(&self.tokenizer)
    }

    /// Shape of the model.
    pub fn config(&self) -> &ModelConfig {
        self.tokens.model.config()
    }

    /// One pass: the tokens of all turns together. Each turn's result is the same bits whoever else has one. On an
    /// error the sessions are as before.
    ///
    /// # Errors
    /// If the context of one is full, or the pass failed.
    ///
    /// # Panics
    /// If a session is another engine's.
    pub fn step(&mut self, turns: &mut [Turn<'_>]) -> Result<(), EngineError> {
        Ok(self.tokens.step(turns)?)
    }

    /// The most tokens that one pass takes, of all sessions together.
    pub fn rows(&self) -> usize {
        self.tokens.model.chunk()
    }

    /// Scores of the next token after some of those tokens of the last pass whose logits were wanted, counted among
    /// these: `[rows, vocab]`, at most [`Engine::logits_rows`] at a time.
    pub fn logits(&mut self, rows: Range<usize>) -> &[f32] {
        self.tokens.model.logits(rows)
    }

    /// The most rows that [`Engine::logits`] takes.
    pub fn logits_rows(&self) -> usize {
        self.tokens.model.logits_rows()
    }

    /// What has been done since the model was opened; tokens and wall time are not counted.
    pub fn totals(&self) -> Totals {
        self.tokens.model.totals()
    }

    /// What paging goes by under the routing policy in charge.
    pub fn timing(&self) -> Timing {
        self.tokens.model.pager().timing()
    }

    /// `[experts]`: the experts of a layer that are in memory or being read.
    pub fn held(&self, layer: LayerId) -> &[bool] {
        self.tokens.model.pager().held(layer)
    }

    /// What is known of contexts, if a trust ledger keeps it.
    pub fn contexts(&self) -> Option<&Contexts> {
        self.tokens.model.contexts()
    }

    /// Lets somebody look at the routers of every pass from now on; it allocates when it first does.
    pub fn probe_routers(&mut self, probe: RouterProbe) {
        self.tokens.model.probe_routers(probe);
    }

    /// The routing policy in charge.
    pub fn router(&self) -> RouterOptions {
        self.router
    }

    /// Tokens of the longest text that [`price`](crate::price) may be asked about.
    pub fn compared_tokens(&self) -> usize {
        self.options.compared_tokens
    }

    /// Writes a trace of everything computed from now on, in a file claimed for it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn trace_to(&mut self, file: PartialFile) -> Result<(), EngineError> {
        let header = self.trace_header();
        self.tracing = Some(Tracing::start(&mut self.tokens.model, file, &header)?);
        Ok(())
    }

    /// Ends the trace, if there is one, and waits until it is on the disk.
    ///
    /// # Errors
    /// If the disk refused it: there is no trace then.
    pub fn end_trace(&mut self) -> Result<Option<TraceTotals>, EngineError> {
        let Some(tracing) = self.tracing.take() else { return Ok(None) };
        Ok(Some(tracing.end(&mut self.tokens.model)?))
    }

    /// Saves the trust ledger, if there is one, and waits until it is on the disk.
    ///
    /// # Errors
    /// If it could not be written: the file is then as the last save left it.
    pub fn save_ledger(&mut self) -> Result<Option<LedgerTotals>, EngineError> {
        let Some(writer) = &self.ledger else { return Ok(None) };
        Ok(ledger::save(writer, &self.tokens.model)?)
    }

    fn trace_header(&self) -> TraceHeader {
        let config = self.tokens.model.config();
        let router = self.router.name();
        let settings = [
            ("router", router.to_owned()),
            ("evict", self.options.evict.to_string()),
            ("arena_slots", self.plan.arena.slots().to_string()),
            ("shared_by_layers", (self.plan.arena.partitions.len() < config.layers).to_string()),
            ("chunk", self.plan.chunk.to_string()),
            ("lookahead", self.tokens.model.pager().lookahead(RowKind::Decode).to_string()),
            ("predict", self.plan.predictor.name().to_owned()),
            ("memory_bytes", self.plan.budget.0.to_string()),
        ];
        TraceHeader {
            model: config.name.clone(),
            architecture: self.architecture.name().to_owned(),
            layers: config.layers,
            experts: config.experts,
            top_k: config.top_k,
            norm_topk: config.norm_topk,
            full_scores: true,
            whole_hot_sets: true,
            native_choice: router == "native",
            several_texts: self.plan.sessions > 1,
            expert_bytes: self.expert_bytes.clone(),
            options: settings.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }

    /// Name of the engine that reads experts.
    pub fn read_engine(&self) -> &str {
        self.tokens.model.pager().engine_name()
    }

    /// A conversation with an empty context. There may be as many at once as were planned.
    ///
    /// # Errors
    /// If that many are there.
    pub fn session(&self) -> Result<Session, EngineError> {
        let seats = self.tokens.seats();
        Session::new(seats, self.plan.context).ok_or(EngineError::Sessions { planned: seats.planned() })
    }

    /// Starts over with another routing policy: the arena is empty, evidence is gone, a trust ledger is as it
    /// was, the pager goes by what the policy needs. Totals and what is known of the disk's speed go on.
    pub fn restart(&mut self, router: RouterOptions) {
        self.router = router;
        let config = self.tokens.model.config();
        let evict = self.options.evict.build(config.layers, config.experts);
        let router = router.build(router_shape(config, &self.plan), &self.options.families);
        self.tokens.model.restart(router, evict);
    }

    /// Computes a text after what the session holds and samples nothing; `progress` is told the tokens
    /// done.
    ///
    /// # Errors
    /// If a pass fails, or the caller wants it to end: [`Engine::end_when`].
    pub fn read(
        &mut self,
        session: &mut Session,
        text: &[u32],
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), EngineError> {
        let feed = self.prompt_feed(WantLogits::None);
        self.tokens.feed(session, text, feed, self.cancel, &mut |_, pass| {
            progress(pass.end);
            Ok(())
        })
    }

    /// How a prompt is computed.
    pub(crate) fn prompt_feed(&self, logits: WantLogits) -> Feed {
        Feed { phase: Phase::Setup, kind: RowKind::Prompt, logits, chunk: self.plan.chunk }
    }
}
