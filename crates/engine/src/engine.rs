//! Opening a model in the planned order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hotset_base::{Architecture, Bytes, Phase};
use hotset_format::{Checkpoint, ModelConfig, ModelFile, Origin};
use hotset_kernels::Pool;
use hotset_ledger::LedgerWriter;
use hotset_model::{DenseWeights, KvCache, Predictor, Qwen3Moe};
use hotset_outputs::PartialFile;
use hotset_policy::route::{Route, RouterOptions, RouterShape};
use hotset_residency::{ExpertSource, Pager, Prediction};
use hotset_text::Tokenizer;
use hotset_trace::{Totals, TraceHeader};

use crate::ledger::{self, OpenLedger};
use crate::machine;
use crate::{EngineError, EngineOptions, LedgerTotals, Plan, Session, Tracing};

/// A model ready to compute, with its vocabulary.
pub struct Engine {
    model: Qwen3Moe,
    tokenizer: Arc<Tokenizer>,
    plan: Plan,
    options: EngineOptions,
    router: RouterOptions,
    architecture: Architecture,
    /// `[layers]`: weights of one expert.
    expert_bytes: Vec<u64>,
    tracing: Option<Tracing>,
    ledger: Option<Arc<LedgerWriter>>,
    /// The files of a model without checksums.
    unsealed: Vec<ModelFile>,
    /// Set by whoever wants scoring and measuring to end.
    cancel: &'static AtomicBool,
}

static NEVER: AtomicBool = AtomicBool::new(false);

impl Engine {
    /// Opens a model as planned with [`Plan::new`]; `progress` is told bytes as they are
    /// loaded or reserved, [`Plan::opening_bytes`] in all.
    pub fn open(
        checkpoint: &Checkpoint,
        tokenizer: Tokenizer,
        options: EngineOptions,
        plan: Plan,
        progress: &mut dyn FnMut(Bytes),
    ) -> Result<Self, EngineError> {
        let router = options.router.build(router_shape(&checkpoint.config, &plan), &options.families);
        Self::open_with_router(checkpoint, tokenizer, options, plan, router, progress)
    }

    /// The same with a routing policy of the caller's.
    pub fn open_with_router(
        checkpoint: &Checkpoint,
        tokenizer: Tokenizer,
        options: EngineOptions,
        plan: Plan,
        router: Box<dyn Route>,
        progress: &mut dyn FnMut(Bytes),
    ) -> Result<Self, EngineError> {
        let config = &checkpoint.config;
        if options.mlock {
            machine::lock_memory()
                .map_err(system("lock memory (--mlock; raise the limit with ulimit -l)"))?;
        }
        // Before anything that takes long: a ledger of another model ends the command.
        let open_ledger = |settings| {
            Ok::<_, EngineError>((settings, OpenLedger::load(settings, checkpoint, &options.families)?))
        };
        let ledger = options.ledger.as_ref().map(open_ledger).transpose()?;
        let dense = DenseWeights::load(checkpoint, plan.embedding, progress)?;
        let start_pool = if options.cpu_strict { Pool::strict } else { Pool::new };
        let pool =
            start_pool(plan.threads, config.longest_row()).map_err(system("start the compute threads"))?;
        let evict = options.evict.build(config.layers, config.experts);
        let source = ExpertSource::new(checkpoint);
        let pager = Pager::open(checkpoint, source, &plan.arena, evict, &options.pager, progress)
            .map_err(system("map the arena and start the read engine"))?;
        // What reading headers has left there would count against the promise.
        checkpoint.files.iter().for_each(|file| machine::drop_page_cache(&file.file));
        let mut model =
            Qwen3Moe::new(checkpoint, dense, pool, pager, router, plan.chunk, options.activations);
        if plan.predictor == Predictor::Learn {
            model.learn_to_predict();
        }
        let layers = checkpoint.experts.chunks(config.experts);
        let expert_bytes = layers.map(|layer| layer[0].bytes().0).collect();
        let begin = |(settings, open): (_, OpenLedger)| open.begin(settings, &mut model);
        let ledger =
            ledger.map(begin).transpose().map_err(system("start the thread that saves the trust ledger"))?;
        let unsealed = if checkpoint.origin == Origin::Store { Vec::new() } else { checkpoint.files.clone() };
        let (router, tokenizer) = (options.router, Arc::new(tokenizer));
        let (tracing, cancel) = (None, &NEVER);
        let architecture = checkpoint.architecture;
        Ok(Self {
            model,
            tokenizer,
            plan,
            options,
            router,
            architecture,
            expert_bytes,
            tracing,
            ledger,
            unsealed,
            cancel,
        })
    }

    /// Scoring and measuring end between two passes once this is set, with [`EngineError::Cancelled`].
    pub fn end_when(&mut self, cancel: &'static AtomicBool) {
        self.cancel = cancel;
    }

    pub(crate) fn cancel(&self) -> &'static AtomicBool {
        self.cancel
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

    /// The forward pass, for scoring and tests.
    pub fn model(&mut self) -> &mut Qwen3Moe {
        &mut self.model
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
        self.tracing = Some(Tracing::start(&mut self.model, file, &header)?);
        Ok(())
    }

    /// Ends the trace, if there is one, and waits until it is on the disk.
    ///
    /// # Errors
    /// If the disk refused it: there is no trace then.
    pub fn end_trace(&mut self) -> Result<Option<Totals>, EngineError> {
        let Some(tracing) = self.tracing.take() else { return Ok(None) };
        Ok(Some(tracing.end(&mut self.model)?))
    }

    /// Saves the trust ledger, if there is one, and waits until it is on the disk.
    ///
    /// # Errors
    /// If it could not be written: the file is then as the last save left it.
    pub fn save_ledger(&mut self) -> Result<Option<LedgerTotals>, EngineError> {
        let Some(writer) = &self.ledger else { return Ok(None) };
        Ok(ledger::save(writer, &self.model)?)
    }

    fn trace_header(&self) -> TraceHeader {
        let config = self.model.config();
        let router = self.router.name();
        let settings = [
            ("router", router.to_owned()),
            ("evict", self.options.evict.to_string()),
            ("arena_slots", self.plan.arena.slots().to_string()),
            ("shared_by_layers", (self.plan.arena.partitions.len() < config.layers).to_string()),
            ("chunk", self.plan.chunk.to_string()),
            ("lookahead", self.model.pager().lookahead(Prediction::Token).to_string()),
            ("foretell", self.plan.predictor.name().to_owned()),
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
            expert_bytes: self.expert_bytes.clone(),
            options: settings.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }

    /// Name of the engine that reads experts.
    pub fn read_engine(&self) -> &str {
        self.model.pager().engine_name()
    }

    /// A conversation with an empty context. The plan has room for one.
    ///
    /// # Errors
    /// If the system refuses the memory of its KV cache.
    pub fn session(&self) -> Result<Session, EngineError> {
        let cache = KvCache::new(self.model.config(), self.plan.context, self.options.kv_types);
        Ok(Session::new(cache.map_err(system("take the memory of the KV cache"))?))
    }

    /// Starts over with another routing policy: the arena is empty, evidence is gone, a trust ledger is as it
    /// was, the pager goes by what the policy needs. Totals and what is known of the disk's speed go on.
    pub fn restart(&mut self, router: RouterOptions) {
        self.router = router;
        let config = self.model.config();
        let evict = self.options.evict.build(config.layers, config.experts);
        let router = router.build(router_shape(config, &self.plan), &self.options.families);
        self.model.restart(router, evict);
    }

    /// Computes a text after what the session holds and samples nothing; `progress` is told the tokens
    /// done.
    pub fn read(
        &mut self,
        session: &mut Session,
        text: &[u32],
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), EngineError> {
        let mut done = 0;
        self.model.enter(Phase::Setup);
        for chunk in text.chunks(self.model.chunk()) {
            session.append(&mut self.model, chunk)?;
            done += chunk.len();
            progress(done);
        }
        Ok(())
    }

    pub(crate) fn parts(&mut self) -> (&mut Qwen3Moe, &Tokenizer) {
        (&mut self.model, &self.tokenizer)
    }
}

fn router_shape(config: &ModelConfig, plan: &Plan) -> RouterShape {
    RouterShape {
        layers: config.layers,
        experts: config.experts,
        top_k: config.top_k,
        norm_topk: config.norm_topk,
        slots: plan.arena.experts_per_layer() as f32,
    }
}

/// Ends what is under way if the caller wants it to.
pub(crate) fn check_cancelled(cancel: &AtomicBool) -> Result<(), EngineError> {
    if cancel.load(Ordering::Relaxed) { Err(EngineError::Cancelled) } else { Ok(()) }
}

/// What the system refused, as an error.
fn system(what: &'static str) -> impl Fn(std::io::Error) -> EngineError {
    move |source| EngineError::System { what, source }
}
