//! Opening a model in one call: prepare (vocabulary, measure, plan), look at the plan, open.

use std::sync::Arc;

use hotset_base::Bytes;
use hotset_format::{Checkpoint, ModelConfig, Origin};
use hotset_kernels::Pool;
use hotset_model::{Caches, DenseWeights, Predictor, Qwen3Moe};
use hotset_policy::route::{Route, RouterShape};
use hotset_residency::{ArenaPlan, ExpertSource, Pager};
use hotset_text::Tokenizer;

use crate::ledger::OpenLedger;
use crate::session::Seats;
use crate::step::TokenLoop;
use crate::{Engine, EngineError, EngineOptions, MachineMemory, Plan, machine};

/// A model that fits, and nothing of it loaded yet but the vocabulary.
pub struct Prepared<'c> {
    checkpoint: &'c Checkpoint,
    tokenizer: Tokenizer,
    options: EngineOptions,
    plan: Plan,
}

impl<'c> Prepared<'c> {
    /// Loads the vocabulary, looks at what the process takes with it, and plans.
    ///
    /// # Errors
    /// If the vocabulary is unusable, or the model does not fit.
    pub fn new(checkpoint: &'c Checkpoint, options: EngineOptions) -> Result<Self, EngineError> {
        let tokenizer = Tokenizer::new(&checkpoint.tokenizer)?;
        let plan = Plan::new(checkpoint, &options, MachineMemory::now())?;
        Ok(Self { checkpoint, tokenizer, options, plan })
    }

    /// What it will take, and of what.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The same with other slots than were planned, for experiments: what they take is the caller's to answer for.
    pub fn with_arena(mut self, arena: ArenaPlan) -> Self {
        self.plan.arena = arena;
        self
    }

    /// Takes and loads everything that was planned; `progress` is told bytes as they are loaded or reserved,
    /// [`Plan::opening_bytes`] in all.
    ///
    /// # Errors
    /// If a file or the system refuses.
    pub fn open(self, progress: &mut dyn FnMut(Bytes)) -> Result<Engine, EngineError> {
        let shape = router_shape(&self.checkpoint.config, &self.plan);
        let router = self.options.router.build(shape, &self.options.families);
        self.open_with_router(router, progress)
    }

    /// The same with a routing policy of the caller's.
    ///
    /// # Errors
    /// As [`Prepared::open`].
    pub fn open_with_router(
        self,
        router: Box<dyn Route>,
        progress: &mut dyn FnMut(Bytes),
    ) -> Result<Engine, EngineError> {
        let Self { checkpoint, tokenizer, options, plan } = self;
        if options.mlock {
            machine::lock_memory().map_err(EngineError::LockMemory)?;
        }
        // Before anything that takes long: a ledger of another model ends the command.
        let load = |settings| OpenLedger::load(settings, checkpoint, &options.families, plan.sessions);
        let ledger = options.ledger.as_ref().map(load).transpose()?;
        let mut model = load_model(checkpoint, &options, &plan, router, progress)?;
        let config = &checkpoint.config;
        let caches = Caches::new(config, plan.sessions, plan.context, options.kv_types)
            .map_err(system("take the memory of the KV cache"))?;
        if plan.predictor == Predictor::Learn {
            model.learn_to_predict(plan.sessions);
        }
        let begin = |(settings, open): (_, OpenLedger)| open.begin(settings, &mut model);
        let ledger = options.ledger.as_ref().zip(ledger).map(begin).transpose();
        let ledger = ledger.map_err(system("start the thread that saves the trust ledger"))?;
        let layers = checkpoint.experts.chunks(config.experts);
        Ok(Engine {
            expert_bytes: layers.map(|layer| layer[0].bytes().0).collect(),
            tokens: TokenLoop::new(model, caches, Seats::new(plan.sessions)),
            tokenizer: Arc::new(tokenizer),
            router: options.router,
            architecture: checkpoint.architecture,
            tracing: None,
            ledger,
            unsealed: if checkpoint.origin == Origin::Store { Vec::new() } else { checkpoint.files.clone() },
            cancel: &crate::engine::NEVER,
            plan,
            options,
        })
    }
}

/// Dense weights, threads, arena, and the model on top of them.
fn load_model(
    checkpoint: &Checkpoint,
    options: &EngineOptions,
    plan: &Plan,
    router: Box<dyn Route>,
    progress: &mut dyn FnMut(Bytes),
) -> Result<Qwen3Moe, EngineError> {
    let config = &checkpoint.config;
    let dense = DenseWeights::load(checkpoint, plan.embedding, progress)?;
    let start_pool = if options.cpu_strict { Pool::strict } else { Pool::new };
    let pool = start_pool(plan.threads, config.longest_row()).map_err(system("start the compute threads"))?;
    let evict = options.evict.build(config.layers, config.experts);
    let source = ExpertSource::new(checkpoint);
    let pager = Pager::open(checkpoint, source, &plan.arena, evict, &options.pager, progress)
        .map_err(system("map the arena and start the read engine"))?;
    // What reading headers has left there would count against the promise.
    checkpoint.files.iter().for_each(|file| machine::drop_page_cache(&file.file));
    Ok(Qwen3Moe::new(checkpoint, dense, pool, pager, router, plan.rows(), options.activations))
}

pub(crate) fn router_shape(config: &ModelConfig, plan: &Plan) -> RouterShape {
    RouterShape {
        layers: config.layers,
        experts: config.experts,
        top_k: config.top_k,
        norm_topk: config.norm_topk,
        slots: plan.arena.experts_per_layer() as f32,
    }
}

/// What the system refused, as an error.
fn system(what: &'static str) -> impl Fn(std::io::Error) -> EngineError {
    move |source| EngineError::System { what, source }
}
