//! The CSV of public routing traces: one line for every pick.
//!
//! ```text
//! # route_trace v1
//! # model=NAME arch=qwen3moe n_layer=48 n_expert=128 n_expert_used=6
//! # layer=0 expert_bytes=3059712
//! turn,phase,step,layer,slot,expert,weight,residency,expert_bytes
//! 0,1,28,0,0,49,0.221297,1,3059712
//! ```
//!
//! `phase` 0 is the prompt, 1 the answer; `step` counts tokens; `slot` is the rank; `residency` says whether the
//! expert was hot. Source: the repository Helldez/BigMoeOnEdge, docs/bench-data/2026-07-15-route-trace.

mod export;
mod import;

pub use export::export_csv;
pub use import::CsvTrace;

/// The first line.
const FIRST_LINE: &str = "# route_trace v1";
/// The names of the columns that are read; others are allowed.
const COLUMNS: [&str; 8] = ["turn", "phase", "step", "layer", "slot", "expert", "weight", "residency"];
