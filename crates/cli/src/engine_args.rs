//! Flags of every command that runs a model, named as in llama.cpp where it has them.

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use hotset_base::Bytes;
use hotset_engine::{Engine, EngineOptions, Plan, resident_memory};
use hotset_format::Checkpoint;
use hotset_model::{KvType, KvTypes};
use hotset_policy::evict::EvictKind;
use hotset_residency::PagerOptions;
use hotset_text::Tokenizer;

use crate::output;

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

    /// Compute threads [default: one per core]
    #[arg(short = 't', long, env = "HOTSET_THREADS", value_name = "N")]
    pub threads: Option<usize>,

    /// Prompt tokens computed together; each expert of a layer is paged once for all of them (-ub)
    #[arg(long = "ubatch-size", env = "HOTSET_UBATCH", value_name = "N", default_value_t = 128)]
    pub ubatch_size: usize,

    /// Precision of the keys in the KV cache: f16 or f32 (-ctk)
    #[arg(long, env = "HOTSET_CACHE_TYPE_K", value_name = "TYPE", default_value = "f16")]
    pub cache_type_k: KvType,

    /// Precision of the values in the KV cache: f16 or f32 (-ctv)
    #[arg(long, env = "HOTSET_CACHE_TYPE_V", value_name = "TYPE", default_value = "f16")]
    pub cache_type_v: KvType,

    /// Routing policy. native is the model's own top-k: exact
    #[arg(long, env = "HOTSET_ROUTER", value_enum, default_value_t = RouterName::Native)]
    pub router: RouterName,

    /// Which expert leaves the arena first
    #[arg(long, env = "HOTSET_EVICT", value_enum, default_value_t = EvictName::Lfu)]
    pub evict: EvictName,

    /// Threads that read experts
    #[arg(long, env = "HOTSET_READ_THREADS", value_name = "N", default_value_t = 4)]
    pub read_threads: usize,

    /// Leave what was read in the kernel's page cache: faster when the model fits the machine, but
    /// outside the memory budget
    #[arg(long, env = "HOTSET_KEEP_PAGE_CACHE")]
    pub keep_page_cache: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum RouterName {
    /// The model's own choice
    Native,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum EvictName {
    /// Least recently used
    Lru,
    /// Least frequently used
    Lfu,
}

impl EngineArgs {
    pub fn options(&self) -> EngineOptions {
        EngineOptions {
            memory: self.memory,
            experts_per_layer: self.experts_per_layer,
            context: self.ctx_size,
            threads: self.threads,
            chunk: self.ubatch_size,
            kv_types: KvTypes { keys: self.cache_type_k, values: self.cache_type_v },
            evict: match self.evict {
                EvictName::Lru => EvictKind::Lru,
                EvictName::Lfu => EvictKind::Lfu,
            },
            pager: PagerOptions { read_threads: self.read_threads, keep_page_cache: self.keep_page_cache },
        }
    }

    /// Plans, prints the plan (unless quiet) and opens.
    pub fn open(&self, checkpoint: &Checkpoint, options: EngineOptions, quiet: bool) -> Result<Engine> {
        let (plan, tokenizer) = plan(checkpoint, &options)?;
        if !quiet {
            output::note(&plan);
        }
        for warning in &plan.warnings {
            output::note(format_args!("warning: {warning}"));
        }
        let bar = output::byte_bar("loading", plan.dense);
        let mut progress = |done: Bytes| bar.set_position(done.0);
        let engine = Engine::open(checkpoint, tokenizer, options, plan, &mut progress);
        bar.finish_and_clear();
        engine.map_err(|error| anyhow!(error))
    }
}

/// The plan with the vocabulary loaded: it is part of what the program takes.
pub fn plan(checkpoint: &Checkpoint, options: &EngineOptions) -> Result<(Plan, Tokenizer)> {
    let tokenizer = Tokenizer::new(&checkpoint.tokenizer)?;
    let resident = resident_memory().unwrap_or_default();
    Ok((Plan::new(checkpoint, options, resident)?, tokenizer))
}
