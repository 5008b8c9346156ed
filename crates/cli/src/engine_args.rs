//! Flags of every command that runs a model, named as in llama.cpp where it has them.

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use hotset_base::Bytes;
use hotset_engine::{
    Activations, DEFAULT_HALF_LIFE, EmbeddingPlace, Engine, EngineOptions, EvictKind, FaultPlan, KvType,
    KvTypes, PagerOptions, Predictor, Prepared, ReadOptions, ReaderKind,
};
use hotset_format::Checkpoint;
use hotset_outputs::Outputs;

use crate::ledger_args::LedgerArgs;
use crate::output::{self, Usage};
use crate::router_args::RouterArgs;
use crate::{advice, plan_text, threads};

#[derive(Args, Clone)]
#[command(next_help_heading = "Memory and speed")]
pub struct EngineArgs {
    /// Memory of the whole process: program, weights, KV cache, scratch and arena, e.g. 8GiB
    /// [default: what the model suggests, else what is free less 1 GiB]
    #[arg(long, env = "HOTSET_MEMORY", value_name = "SIZE")]
    pub memory: Option<Bytes>,

    /// Give every layer exactly N expert slots of its own (research; without --memory, takes what
    /// that needs)
    #[arg(long, env = "HOTSET_EXPERTS_PER_LAYER", value_name = "N")]
    pub experts_per_layer: Option<usize>,

    /// Tokens of context; 0 takes the model's own [default: the model's, at most 4096]
    #[arg(short = 'c', long, env = "HOTSET_CTX_SIZE", value_name = "N")]
    pub ctx_size: Option<usize>,

    /// Sessions at once, each with a KV cache and a context of its own (-np); `hotset bench` decodes all of them
    #[arg(long, env = "HOTSET_PARALLEL", value_name = "N", default_value_t = 1)]
    pub parallel: usize,

    /// Compute threads; -1 for one per core, the default
    #[arg(short = 't', long, env = "HOTSET_THREADS", value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(-1..))]
    threads: Option<i64>,

    /// 1: keep each compute thread on a core of its own; for machines that do nothing else
    #[arg(long, env = "HOTSET_CPU_STRICT", value_name = "0|1", default_value_t = 0,
          value_parser = clap::value_parser!(u8).range(0..=1))]
    pub cpu_strict: u8,

    /// Prompt tokens computed together; each expert of a layer is paged once for all of them (-ub)
    /// [default: 512, less in a small budget]
    #[arg(long = "ubatch-size", env = "HOTSET_UBATCH", value_name = "N")]
    pub ubatch_size: Option<usize>,

    /// Precision of the keys in the KV cache: f16 or f32 (-ctk)
    #[arg(long, env = "HOTSET_CACHE_TYPE_K", value_name = "TYPE", default_value = "f16")]
    pub cache_type_k: KvType,

    /// Precision of the values in the KV cache: f16 or f32 (-ctv)
    #[arg(long, env = "HOTSET_CACHE_TYPE_V", value_name = "TYPE", default_value = "f16")]
    pub cache_type_v: KvType,

    /// Multiply quantised weights with f32 activations instead of int8 ones: two to three times slower, without
    /// the small error of rounding them
    #[arg(long, env = "HOTSET_EXACT_ACTIVATIONS")]
    pub exact_activations: bool,

    /// Which expert leaves the arena first
    #[arg(long, env = "HOTSET_EVICT", value_enum, default_value_t = EvictName::WindowLfu)]
    pub evict: EvictName,

    /// Visits to its layer after which a use counts half under --evict lfu and window-lfu; 0 counts all uses
    /// alike
    #[arg(long, env = "HOTSET_EVICT_HALF_LIFE", value_name = "N", default_value_t = DEFAULT_HALF_LIFE)]
    pub evict_half_life: u32,

    /// Keep everything in RAM: no swapping, whatever the neighbours do
    #[arg(long, env = "HOTSET_MLOCK")]
    pub mlock: bool,

    /// Where the embedding table is [default: on disk when experts are paged and it is over 32 MiB]
    #[arg(long, env = "HOTSET_EMBEDDING", value_enum)]
    pub embedding: Option<EmbeddingName>,

    /// Layers whose experts are predicted, protected and prefetched; 0 reads only what a token waits for. With a
    /// lossy --router only what it would not refuse, if such predictions are nearly certain
    /// [default: 2]
    #[arg(long, env = "HOTSET_LOOKAHEAD", value_name = "N")]
    pub lookahead: Option<usize>,

    /// What the next layer's picks are predicted with [default: learn, if that takes at most 1 % of --memory or
    /// with --experts-per-layer, else routers]
    #[arg(long, alias = "foretell", env = "HOTSET_PREDICTOR", value_enum)]
    pub predictor: Option<PredictorName>,

    /// How experts are read: io_uring, pread (threads), or auto: io_uring where the kernel allows it
    #[arg(long, env = "HOTSET_READ_ENGINE", value_name = "ENGINE", default_value = "auto")]
    pub read_engine: ReaderKind,

    /// Reads given to the disk at once
    #[arg(long, env = "HOTSET_READ_DEPTH", value_name = "N", default_value_t = 8)]
    pub read_depth: usize,

    /// Read through the kernel's page cache instead of past it
    #[arg(long, env = "HOTSET_NO_DIRECT_IO")]
    pub no_direct_io: bool,

    /// Take the arena's memory as it is used instead of when opening, and do not register it with the kernel
    #[arg(long, env = "HOTSET_NO_REGISTERED_BUFFERS")]
    pub no_registered_buffers: bool,

    /// Leave what was read in the page cache: faster when the model fits the machine, but outside the
    /// memory budget (implies --no-direct-io)
    #[arg(long, env = "HOTSET_KEEP_PAGE_CACHE")]
    pub keep_page_cache: bool,

    /// A disk that misbehaves or is slower, for tests and research: seed=N, then per 1000 reads short=N,
    /// error=N, interrupted=N, corrupt=N, slow=N; dead-from=N; rate=1GB (bytes a second)
    #[arg(long, env = "HOTSET_DISK_FAULTS", value_name = "PLAN", hide_short_help = true)]
    pub disk_faults: Option<FaultPlan>,

    #[command(flatten)]
    pub router: RouterArgs,

    #[command(flatten)]
    pub ledger: LedgerArgs,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum EvictName {
    /// Least recently used
    Lru,
    /// Least frequently used; uses fade (--evict-half-life)
    Lfu,
    /// The same, and what the last token chose counts as if it were chosen in another quarter of the tokens
    WindowLfu,
    /// Uses over the time since the last one
    Lfru,
    /// What its layer has not chosen longest, then what its layer needs last
    LeastStale,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum EmbeddingName {
    /// In memory
    Memory,
    /// On disk: each token reads its row
    Disk,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum PredictorName {
    /// Copies of the routers that learn from every token, for layers whose router predicts badly
    Learn,
    /// The routers as they are
    Routers,
}

/// `--router-trust` would change nothing.
const NO_GAINS: &str = "--router-trust weighs what the experts of each context were measured to do: \
    add --trust-ledger FILE, which keeps that";

impl EngineArgs {
    /// Compute threads, if a number was asked for.
    pub fn threads(&self) -> Option<usize> {
        self.threads.and_then(|threads| usize::try_from(threads).ok())
    }

    fn eviction(&self) -> EvictKind {
        let half_life = Some(self.evict_half_life).filter(|&visits| visits > 0);
        match self.evict {
            EvictName::Lru => EvictKind::Lru,
            EvictName::Lfu => EvictKind::Lfu { half_life },
            EvictName::WindowLfu => EvictKind::WindowLfu { half_life },
            EvictName::Lfru => EvictKind::Lfru,
            EvictName::LeastStale => EvictKind::LeastStale,
        }
    }

    /// How experts are read.
    pub fn read_options(&self) -> ReadOptions {
        ReadOptions {
            kind: self.read_engine,
            direct: !(self.no_direct_io || self.keep_page_cache),
            depth: self.read_depth,
            keep_page_cache: self.keep_page_cache,
            faults: self.disk_faults.clone(),
        }
    }

    /// How vectors meet quantised weights.
    pub fn activations(&self) -> Activations {
        if self.exact_activations { Activations::F32 } else { Activations::Int8 }
    }

    /// Everything that was asked for. What the settings name to be written is tried.
    pub fn options(&self, outputs: &mut Outputs) -> Result<EngineOptions> {
        self.router.router_config.iter().for_each(|path| outputs.reads(path));
        let router = self.router.options()?;
        let ledger = self.ledger.settings(outputs)?;
        let defaults = PagerOptions::default();
        if ledger.is_none() && router.wants_contributions() {
            return Err(Usage(NO_GAINS.to_owned()).into());
        }
        Ok(EngineOptions {
            memory: self.memory,
            experts_per_layer: self.experts_per_layer,
            context: self.ctx_size,
            sessions: self.parallel,
            threads: self.threads(),
            cpu_strict: self.cpu_strict == 1,
            chunk: self.ubatch_size,
            kv_types: KvTypes { keys: self.cache_type_k, values: self.cache_type_v },
            activations: self.activations(),
            router,
            evict: self.eviction(),
            embedding: self.embedding.map(|place| match place {
                EmbeddingName::Memory => EmbeddingPlace::Memory,
                EmbeddingName::Disk => EmbeddingPlace::Disk,
            }),
            mlock: self.mlock,
            pager: PagerOptions {
                read: self.read_options(),
                lookahead: self.lookahead.unwrap_or(defaults.lookahead),
                register: !self.no_registered_buffers,
            },
            predictor: self.predictor.map(|name| match name {
                PredictorName::Learn => Predictor::Learn,
                PredictorName::Routers => Predictor::Routers,
            }),
            ledger,
            compared_tokens: 0,
            families: Vec::new(),
        })
    }

    /// Plans, prints the plan (unless quiet) and opens.
    pub fn open(&self, checkpoint: &Checkpoint, options: EngineOptions, quiet: bool) -> Result<Engine> {
        open(prepare(checkpoint, options)?, quiet)
    }
}

/// Plans, with the families of experts if they change anything.
pub fn prepare(checkpoint: &Checkpoint, options: EngineOptions) -> Result<Prepared<'_>> {
    let learn = || {
        threads::start_shared_pool()?;
        anyhow::Ok(hotset_convert::families(checkpoint)?)
    };
    let families = options.wants_families().then(learn).transpose()?;
    let options = EngineOptions { families: families.unwrap_or_default(), ..options };
    Engine::prepare(checkpoint, options).map_err(advice::by_flag)
}

/// Prints the plan (unless quiet) and opens.
pub fn open(prepared: Prepared<'_>, quiet: bool) -> Result<Engine> {
    let plan = prepared.plan();
    if !quiet {
        output::note(plan_text::text(plan));
    }
    plan.warnings.iter().for_each(output::warn);
    let bar = output::byte_bar("opening", plan.opening_bytes());
    let engine = prepared.open(&mut |more: Bytes| bar.inc(more.0));
    bar.finish_and_clear();
    let engine = engine.map_err(|error| anyhow!(error))?;
    if !quiet {
        output::note(format_args!("  reads    {}", engine.read_engine()));
    }
    Ok(engine)
}
