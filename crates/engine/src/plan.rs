//! What goes into the memory budget, decided before anything large is allocated.

use std::fmt;
use std::ops::RangeInclusive;

use hotset_base::{Bytes, Families, limits};
use hotset_format::{Checkpoint, ModelConfig};
use hotset_kernels::Pool;
use hotset_model::{
    Activations, Caches, CoarseRouters, DenseWeights, EmbeddingPlace, KvTypes, Predictor, Scratch,
};
use hotset_policy::evict::EvictKind;
use hotset_policy::route::RouterOptions;
use hotset_residency::{ArenaPlan, ExpertSource, PagerOptions};

use crate::{LedgerSettings, MachineMemory, machine, pricing};

/// Left to the rest of the machine when nobody names a budget; llama.cpp's `--fit` leaves as much.
const MARGIN: Bytes = Bytes::mib(1024);
/// Thread stacks, queues, vocabulary lookups and what the allocator keeps to itself.
const RUNTIME_RESERVE: Bytes = Bytes::mib(6);
/// What a token of context takes beside the KV cache: its id in the prompt, the session and the answer, and
/// [`PROMPT_BYTES_PER_TOKEN`] of text that a chat template makes four copies of.
const TEXT_PER_TOKEN: u64 = 3 * 4 + 4 * PROMPT_BYTES_PER_TOKEN;
/// What a chat may have of text for a token of context. Prose has three to six.
const PROMPT_BYTES_PER_TOKEN: u64 = 16;
/// So much of the reserve is for text.
const TEXT_RESERVE: Bytes = Bytes::mib(1);
/// An embedding table below this size is not worth a read for every token.
const SMALL_TABLE: Bytes = Bytes::mib(32);
/// Sizes of prompt chunks to choose from. Every chunk reads nearly all experts once, so longer is better
/// as long as the buffers take little from the arena.
const CHUNKS: [usize; 3] = [512, 256, 128];
/// The share of the budget that the buffers of a chunk may take.
const SCRATCH_SHARE: u64 = 32;
/// Visits to its layer after which a use counts half, unless the user says otherwise.
pub const DEFAULT_HALF_LIFE: u32 = 128;
/// Context used when nobody names one.
const DEFAULT_CONTEXT: usize = 4096;

/// What the user may set about memory and speed.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Budget of the whole process.
    pub memory: Option<Bytes>,
    /// Exactly this many slots for every layer (research).
    pub experts_per_layer: Option<usize>,
    /// Tokens of context; `Some(0)` is the model's own.
    pub context: Option<usize>,
    /// Sessions that may be there at once, each with a context of its own.
    pub sessions: usize,
    /// Compute threads; `None` for one per core.
    pub threads: Option<usize>,
    /// Keep each compute thread but the caller on a processor of its own.
    pub cpu_strict: bool,
    /// Prompt tokens computed together; `None` for as many as the budget suggests.
    pub chunk: Option<usize>,
    /// Precision of the KV cache.
    pub kv_types: KvTypes,
    /// What quantised weights are multiplied with.
    pub activations: Activations,
    /// Where the embedding table is; `None` for on disk when experts are paged and it is large.
    pub embedding: Option<EmbeddingPlace>,
    /// Keep all memory in RAM (mlockall).
    pub mlock: bool,
    /// Routing policy.
    pub router: RouterOptions,
    /// Eviction policy.
    pub evict: EvictKind,
    /// Reading.
    pub pager: PagerOptions,
    /// Whether predictions learn; `None` where the memory for it is small beside the budget.
    pub predictor: Option<Predictor>,
    /// What is known of contexts from one run to the next.
    pub ledger: Option<LedgerSettings>,
    /// Tokens of the longest text that [`price`](crate::price) is asked about; 0 for none.
    pub compared_tokens: usize,
    /// Families of experts, one partition for every layer; may be empty where [`EngineOptions::wants_families`] says no.
    pub families: Vec<Families>,
}

impl EngineOptions {
    /// Whether families change anything.
    pub fn wants_families(&self) -> bool {
        self.router.wants_families() || self.ledger.as_ref().is_some_and(LedgerSettings::wants_families)
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            memory: None,
            experts_per_layer: None,
            context: None,
            sessions: 1,
            threads: None,
            cpu_strict: false,
            chunk: None,
            kv_types: KvTypes::default(),
            activations: Activations::default(),
            embedding: None,
            mlock: false,
            router: RouterOptions::Native,
            evict: EvictKind::WindowLfu { half_life: Some(DEFAULT_HALF_LIFE) },
            pager: PagerOptions::default(),
            predictor: None,
            ledger: None,
            compared_tokens: 0,
            families: Vec::new(),
        }
    }
}

/// Who chose the budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BudgetSource {
    /// The user.
    Asked,
    /// The store's suggestion.
    Suggested,
    /// What the machine has free, less a margin.
    Available,
    /// Slots alone were asked for: whatever they take.
    Slots,
}

/// The division of the budget.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The budget.
    pub budget: Bytes,
    /// Who chose it.
    pub budget_source: BudgetSource,
    /// The program, its vocabulary, its runtime, text, a trust ledger and what a comparison keeps.
    pub process: Bytes,
    /// Weights that every token needs.
    pub dense: Bytes,
    /// KV caches of all sessions.
    pub kv: Bytes,
    /// Activations.
    pub scratch: Bytes,
    /// Slots for experts.
    pub arena: ArenaPlan,
    /// Experts of the model.
    pub experts: usize,
    /// Tokens of context of each session.
    pub context: usize,
    /// Sessions that may be there at once.
    pub sessions: usize,
    /// Prompt tokens computed together.
    pub chunk: usize,
    /// Compute threads.
    pub threads: usize,
    /// Where the embedding table is.
    pub embedding: EmbeddingPlace,
    /// Whether predictions learn.
    pub predictor: Predictor,
    /// Things the user should know.
    pub warnings: Vec<String>,
}

/// A setting with a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// [`EngineOptions::chunk`]
    Chunk,
    /// [`EngineOptions::threads`]
    Threads,
    /// [`EngineOptions::sessions`]
    Sessions,
    /// [`EngineOptions::context`]
    Context,
    /// [`EngineOptions::experts_per_layer`]
    ExpertsPerLayer,
    /// Of [`EngineOptions::pager`].
    ReadDepth,
    /// The same.
    Lookahead,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chunk => "prompt tokens at a time",
            Self::Threads => "threads",
            Self::Sessions => "sessions",
            Self::Context => "tokens of context",
            Self::ExpertsPerLayer => "experts per layer",
            Self::ReadDepth => "reads at a time",
            Self::Lookahead => "layers to look ahead",
        })
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The budget is below what the model needs with one expert in memory.
    #[error(
        "{budget} of memory is too little for {name}: program {process}, dense weights {dense}, KV cache {kv}, scratch {scratch} and the smallest arena {arena} need {smallest}"
    )]
    TooSmall {
        /// The model.
        name: String,
        /// What was allowed.
        budget: Bytes,
        /// What would do.
        smallest: Bytes,
        /// Part of it.
        process: Bytes,
        /// Part of it.
        dense: Bytes,
        /// Part of it.
        kv: Bytes,
        /// Part of it.
        scratch: Bytes,
        /// Part of it.
        arena: Bytes,
    },
    /// The system does not say what is free.
    #[error("how much memory is free is unknown here (there is no /proc)")]
    UnknownMemory,
    /// LRU would hit nothing.
    #[error(
        "{slots} slots are fewer than the {token_cycle} experts of one token: LRU over all layers would hit nothing at all"
    )]
    LruBelowCycle {
        /// Slots of the arena.
        slots: usize,
        /// Layers times experts per token.
        token_cycle: usize,
    },
    /// A setting outside its range.
    #[error("{value} {setting} are out of range: {range}")]
    OutOfRange {
        /// Of what.
        setting: Setting,
        /// What was given.
        value: usize,
        /// What would do.
        range: String,
    },
}

/// Predictions learn where that takes at most this fraction of the budget.
const LEARNING_SHARE: u64 = 100;

impl Plan {
    /// Divides the budget for this model.
    ///
    /// # Errors
    /// If it does not fit, an option is out of range, or nobody says how much there is.
    pub fn new(
        checkpoint: &Checkpoint,
        options: &EngineOptions,
        memory: MachineMemory,
    ) -> Result<Self, PlanError> {
        check_ranges(options)?;
        let config = &checkpoint.config;
        let (context, sessions) = (context(options.context, config.context)?, options.sessions);
        let source = ExpertSource::new(checkpoint);
        let embedding = options.embedding.unwrap_or(EmbeddingPlace::Memory);
        let budget = budget(checkpoint, options, memory)?;
        let predictor = predictor(config, options, budget.map(|(budget, _)| budget));
        let smallest_chunk = CHUNKS[CHUNKS.len() - 1];
        let threads = threads(options.threads);
        let ledger =
            options.ledger.as_ref().map_or(Bytes(0), |ledger| ledger.planned_bytes(config, sessions));
        let pool = Pool::planned_bytes(threads, config.longest_row());
        let text = Bytes((sessions * context) as u64 * TEXT_PER_TOKEN).saturating_sub(TEXT_RESERVE);
        let compared = pricing::planned_bytes(options.compared_tokens, config.vocab);
        let mut plan = Self {
            budget: Bytes(0),
            budget_source: BudgetSource::Asked,
            process: memory.resident + RUNTIME_RESERVE + pool + ledger + text + compared,
            dense: dense_bytes(checkpoint, options, embedding, predictor),
            predictor,
            kv: Caches::planned_bytes(config, sessions, context, options.kv_types),
            scratch: Bytes(0),
            arena: ArenaPlan::per_layer(&source, options.experts_per_layer.unwrap_or(1)),
            experts: checkpoint.experts.len(),
            context,
            sessions,
            chunk: options.chunk.unwrap_or(smallest_chunk).min(context),
            threads,
            embedding,
            warnings: Vec::new(),
        };
        plan.scratch = Scratch::planned_bytes(config, plan.rows(), options.activations);
        (plan.budget, plan.budget_source) = budget.unwrap_or((plan.total(), BudgetSource::Slots));
        plan.fit(checkpoint, options, &source);
        if options.experts_per_layer.is_none() {
            plan.arena = ArenaPlan::shared(&source, plan.budget.saturating_sub(plan.without_arena()));
        }
        plan.check_budget(&config.name, options.experts_per_layer.is_some(), &source)?;
        plan.check_eviction(options, config.layers * config.top_k)?;
        plan.warn(config, options);
        Ok(plan)
    }

    /// Chooses what the user left open, now that the budget is known.
    fn fit(&mut self, checkpoint: &Checkpoint, options: &EngineOptions, source: &ExpertSource) {
        let everything = ArenaPlan::shared(source, Bytes(u64::MAX >> 8)).bytes();
        let pages = self.without_arena() + everything > self.budget;
        if options.embedding.is_none() && pages && checkpoint.dense.embedding.extent.bytes >= SMALL_TABLE {
            self.embedding = EmbeddingPlace::Disk;
            self.dense = dense_bytes(checkpoint, options, self.embedding, self.predictor);
        }
        if options.chunk.is_none() {
            let rows = |chunk: usize| chunk.min(self.context).max(self.sessions);
            let scratch =
                |chunk: usize| Scratch::planned_bytes(&checkpoint.config, rows(chunk), options.activations);
            let fits = |chunk: &usize| scratch(*chunk) <= Bytes(self.budget.0 / SCRATCH_SHARE);
            if let Some(chunk) = CHUNKS.into_iter().find(fits) {
                (self.chunk, self.scratch) = (chunk.min(self.context), scratch(chunk));
            }
        }
    }

    /// The most tokens of one pass: a chunk of a prompt, or one of each session.
    pub fn rows(&self) -> usize {
        self.chunk.max(self.sessions)
    }

    /// The longest text of a chat that this plan has room for.
    pub fn chat_text(&self) -> Bytes {
        let reserved = TEXT_RESERVE.0 / TEXT_PER_TOKEN * PROMPT_BYTES_PER_TOKEN;
        Bytes((self.context as u64 * PROMPT_BYTES_PER_TOKEN).max(reserved))
    }

    /// Bytes loaded or reserved while opening: the length of a progress bar.
    pub fn opening_bytes(&self) -> Bytes {
        let pages = self.arena.slots() < self.experts;
        self.dense + if pages { self.arena.bytes() } else { Bytes(0) }
    }

    /// Everything but the arena.
    fn without_arena(&self) -> Bytes {
        self.process + self.dense + self.kv + self.scratch
    }

    /// Everything: what the process will take at most.
    pub fn total(&self) -> Bytes {
        self.without_arena() + self.arena.bytes()
    }

    fn check_budget(&self, name: &str, fixed_slots: bool, source: &ExpertSource) -> Result<(), PlanError> {
        if self.total() <= self.budget {
            return Ok(());
        }
        let smallest_arena =
            if fixed_slots { self.arena.bytes() } else { ArenaPlan::shared(source, Bytes(0)).bytes() };
        let smallest = self.without_arena() + smallest_arena;
        Err(PlanError::TooSmall {
            name: name.to_owned(),
            budget: self.budget,
            smallest,
            process: self.process,
            dense: self.dense,
            kv: self.kv,
            scratch: self.scratch,
            arena: smallest_arena,
        })
    }

    /// LRU over all layers hits nothing at all when the arena is smaller than one token's cycle.
    fn check_eviction(&self, options: &EngineOptions, token_cycle: usize) -> Result<(), PlanError> {
        let slots = self.arena.slots();
        match options.evict {
            EvictKind::Lru if options.experts_per_layer.is_none() && slots < token_cycle => {
                Err(PlanError::LruBelowCycle { slots, token_cycle })
            }
            _ => Ok(()),
        }
    }

    /// Notes what is beyond what there is.
    fn warn(&mut self, config: &ModelConfig, options: &EngineOptions) {
        let trained = config.context;
        if self.context > trained {
            self.warnings.push(format!(
                "a context of {} is more than the {trained} the model was trained for",
                self.context
            ));
        }
        let asked = matches!(self.budget_source, BudgetSource::Asked | BudgetSource::Suggested);
        if let Some(there) = machine::installed_memory().filter(|&there| asked && self.budget > there) {
            self.warnings.push(format!("{} of memory is more than the {there} there are here", self.budget));
        }
        let cores = self::threads(None);
        if options.threads.is_some_and(|threads| threads > cores) {
            self.warnings.push(format!(
                "{} threads are more than the {cores} cores there are here, and slower than as many",
                self.threads
            ));
        }
        if let Some(slots) = options.experts_per_layer.filter(|&slots| slots > config.experts) {
            let experts = config.experts;
            self.warnings
                .push(format!("{slots} experts per layer are more than the {experts} the model has"));
        }
        if let Some(chunk) = options.chunk.filter(|&chunk| chunk > self.context) {
            self.warnings.push(format!(
                "{chunk} prompt tokens at a time are more than the context of {}",
                self.context
            ));
        }
    }
}

/// Weights that every token needs, and what predictions are made with.
fn dense_bytes(
    checkpoint: &Checkpoint,
    options: &EngineOptions,
    embedding: EmbeddingPlace,
    predictor: Predictor,
) -> Bytes {
    let coarse_routers = CoarseRouters::planned_bytes(&checkpoint.config, options.pager.lookahead);
    let copies = match predictor {
        Predictor::Learn => Predictor::planned_bytes(&checkpoint.config, options.sessions),
        Predictor::Routers => Bytes(0),
    };
    DenseWeights::planned_bytes(checkpoint, embedding) + coarse_routers + copies
}

/// Whether predictions learn. Copies of routers take the place of experts, which may be worth more: on the model that ships, whose
/// routers are large beside its experts, they are 1.25 MiB of 56, and cost more hits than they bring.
fn predictor(config: &ModelConfig, options: &EngineOptions, budget: Option<Bytes>) -> Predictor {
    if options.pager.lookahead == 0 {
        return Predictor::Routers;
    }
    let copies = Predictor::planned_bytes(config, options.sessions);
    let small = |budget: Bytes| copies.0 * LEARNING_SHARE <= budget.0;
    let learns = options.experts_per_layer.is_some() || budget.is_some_and(small);
    options.predictor.unwrap_or(if learns { Predictor::Learn } else { Predictor::Routers })
}

fn check_ranges(options: &EngineOptions) -> Result<(), PlanError> {
    let check = |setting, value: usize, range: RangeInclusive<usize>| match range.contains(&value) {
        true => Ok(()),
        false => {
            let range = format!("{} to {}", range.start(), range.end());
            Err(PlanError::OutOfRange { setting, value, range })
        }
    };
    check(Setting::Chunk, options.chunk.unwrap_or(1), 1..=limits::MAX_CHUNK)?;
    check(Setting::Threads, options.threads.unwrap_or(1), 1..=limits::MAX_THREADS)?;
    check(Setting::Sessions, options.sessions, 1..=limits::MAX_SEQUENCES)?;
    check(Setting::ReadDepth, options.pager.read.depth, 1..=limits::MAX_READS_IN_FLIGHT)?;
    check(Setting::Lookahead, options.pager.lookahead, 0..=limits::MAX_LOOKAHEAD)?;
    check(Setting::ExpertsPerLayer, options.experts_per_layer.unwrap_or(1), 1..=limits::MAX_EXPERTS)
}

fn context(asked: Option<usize>, trained: usize) -> Result<usize, PlanError> {
    let context = match asked {
        None => trained.min(DEFAULT_CONTEXT),
        Some(0) => trained,
        Some(asked) => asked,
    };
    if context > limits::MAX_CONTEXT {
        let range = format!("0 (the model's own) to {}", limits::MAX_CONTEXT);
        return Err(PlanError::OutOfRange { setting: Setting::Context, value: context, range });
    }
    Ok(context)
}

fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// What may be taken and who says so; `None`: whatever the slots that were asked for take.
fn budget(
    checkpoint: &Checkpoint,
    options: &EngineOptions,
    memory: MachineMemory,
) -> Result<Option<(Bytes, BudgetSource)>, PlanError> {
    if let Some(asked) = options.memory {
        return Ok(Some((asked, BudgetSource::Asked)));
    }
    if options.experts_per_layer.is_some() {
        return Ok(None);
    }
    if let Some(suggested) = checkpoint.suggested_memory {
        return Ok(Some((suggested, BudgetSource::Suggested)));
    }
    let available = memory.available.ok_or(PlanError::UnknownMemory)?;
    Ok(Some(((available + memory.resident).saturating_sub(MARGIN), BudgetSource::Available)))
}
