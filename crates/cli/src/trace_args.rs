//! `--trace` of every command that computes tokens.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use hotset_engine::Engine;
use hotset_outputs::{FileKind, Outputs, PartialFile};

use crate::output;

#[derive(Args, Clone)]
pub struct TraceArgs {
    /// Write a trace: what every router wanted, what was hot, reads and stalls (docs/trace-format.md; see
    /// hotset trace, hotset replay)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

impl TraceArgs {
    /// Tries the trace's file before anything is computed.
    pub fn claim(&self, outputs: &mut Outputs) -> Result<Option<PartialFile>> {
        Ok(self.trace.as_ref().map(|path| outputs.claim(FileKind::Trace, path)).transpose()?)
    }

    /// Begins the trace, if one was asked for.
    pub fn begin(engine: &mut Engine, file: Option<PartialFile>) -> Result<()> {
        file.map_or(Ok(()), |file| Ok(engine.trace_to(file)?))
    }

    /// Ends it, and says what became of it unless told to be quiet.
    pub fn end(&self, engine: &mut Engine, quiet: bool) -> Result<()> {
        let totals = engine.end_trace()?;
        if let (Some(path), Some(totals), false) = (&self.trace, totals, quiet) {
            output::note(format_args!("trace: {}, {}", path.display(), totals.bytes));
        }
        Ok(())
    }
}
