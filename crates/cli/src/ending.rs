//! How a command that computes tokens ends: what it has traced and learnt is kept, however it went.

use anyhow::Result;
use hotset_engine::{Engine, EngineError};

use crate::ledger_args::LedgerArgs;
use crate::trace_args::TraceArgs;

/// Ends the trace, saves the ledger, and gives what went wrong first. That a signal ended it is no error: the
/// exit code says so.
pub fn end(
    engine: &mut Engine,
    (trace, ledger): (&TraceArgs, &LedgerArgs),
    quiet: bool,
    went: Result<()>,
) -> Result<()> {
    let traced = trace.end(engine, quiet);
    let learnt = ledger.save(engine, quiet);
    let cancelled = |error: &anyhow::Error| {
        error.chain().any(|cause| matches!(cause.downcast_ref(), Some(EngineError::Cancelled)))
    };
    let went = match went {
        Err(error) if cancelled(&error) => Ok(()),
        went => went,
    };
    went.and(traced).and(learnt)
}
