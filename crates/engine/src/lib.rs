//! A model opened under a memory budget, and the conversations held with it.
//!
//! Owns the plan, the opening of everything in its order, the token loop and its callers, the figures of a
//! run, and what is measured of the machine. It must never print, parse arguments, or know an async runtime.
#![forbid(unsafe_code)]

mod bench;
mod engine;
mod error;
mod figures;
mod forecast;
mod generate;
mod ledger;
mod machine;
mod open;
mod perplexity;
mod plan;
mod pricing;
mod probe;
mod session;
mod step;
mod tracing;

pub use bench::{Bound, Floor, Repetition, Spread, TokenBytes, Workload, percentile};
pub use engine::Engine;
pub use error::EngineError;
pub use figures::Figures;
pub use forecast::{Forecast, Locality, LocalityError, OVERLAP, Speeds};
pub use generate::{Finish, Generation, Listener};
pub use hotset_kernels::instruction_set as kernels_in_use;
pub use ledger::{LedgerSettings, LedgerTotals};
pub use machine::{
    ControlGroup, ControlGroupError, GIGA, MachineMemory, MemoryBandwidth, address_space_left,
    available_memory, direct_reads, end_with_parent, huge_pages, instruction_sets, locked_memory_limit,
    peak_memory, processor_name, read_ahead, resident_memory, total_memory,
};
pub use open::Prepared;
pub use perplexity::{Perplexity, Scorer, Windowing, perplexity};
pub use plan::{BudgetSource, DEFAULT_HALF_LIFE, EngineOptions, Plan, PlanError, Setting};
pub use pricing::{Price, price};
pub use probe::{ComputeSpeed, DiskProbe, DiskSpeed, KernelSpeed, measure_compute, measure_kernels};
pub use session::Session;
pub use step::{Turn, WantLogits};
pub(crate) use tracing::Tracing;

// What fronts need of the crates below: options with their parts, and why something failed.
pub use hotset_io::{FaultPlan, ReadOptions, ReaderKind, probe_io_uring};
pub use hotset_model::{Activations, EmbeddingPlace, ForwardError, KvType, KvTypes, LoadError, Predictor};
pub use hotset_policy::contexts::ContextsOptions;
pub use hotset_policy::evict::EvictKind;
pub use hotset_policy::route::{
    CachePriorOptions, DropOptions, NotFinite, RouterOptions, StrictOptions, TrustOptions,
};
pub use hotset_residency::{Allocator, PagerError, PagerOptions};
