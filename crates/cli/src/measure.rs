//! What `bench`, `plan` and `doctor` measure of the machine, and for how long.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use hotset_base::Bytes;
use hotset_engine::{DiskProbe, MemoryBandwidth, available_memory};
use hotset_format::Checkpoint;
use hotset_residency::PagerOptions;

#[derive(Args, Clone)]
pub struct MeasureArgs {
    /// Seconds of random reads whenever the disk is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    pub measure_seconds: f64,
}

impl MeasureArgs {
    pub fn time(&self) -> Duration {
        Duration::from_secs_f64(self.measure_seconds)
    }

    /// Opens a probe on a model's files; the error names them.
    pub fn open_disk(&self, checkpoint: &Checkpoint, options: PagerOptions) -> Result<DiskProbe> {
        DiskProbe::open(checkpoint, options).context("cannot start a read engine to measure the disk")
    }

    /// Bytes per second.
    pub fn disk(&self, probe: &mut DiskProbe) -> Result<f64> {
        probe.measure(self.time()).context("cannot read the model to measure the disk")
    }
}

/// Reads memory with as many threads as compute, inside what is free and what was allowed.
pub fn memory(threads: usize, allowed: Option<Bytes>) -> MemoryBandwidth {
    let room = [available_memory(), allowed].into_iter().flatten().min();
    MemoryBandwidth::measure(threads, room)
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    if (0.01..=600.0).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{text} is out of range: 0.01 to 600"))
    }
}
