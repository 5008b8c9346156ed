//! What a run counts, and the one table of the figures that are made of it. Words as in ARCHITECTURE.md.
//!
//! An engine, the summary of a trace and a replay count into [`Totals`], as far as they know; whoever prints
//! figures takes names and values from [`FIGURES`].

#[macro_use]
mod counters;
mod figure;
mod histogram;
mod table;
mod totals;

pub use figure::{Figure, Per, Unit};
pub use histogram::Histogram;
pub use table::*;
pub use totals::{
    CpuTotals, PagerTotals, PrefetchTotals, Regret, RegretByKind, RoutingTotals, StageTimes, Totals,
};
