//! What `bench`, `plan` and `doctor` measure of the machine, and for how long.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use hotset_base::Bytes;
use hotset_base::limits::MAX_CONFIG_FILE;
use hotset_engine::{
    DiskProbe, DiskSpeed, Locality, MemoryBandwidth, ReadOptions, address_space_left, available_memory,
};
use hotset_format::Checkpoint;

use crate::input;
use crate::output::Usage;

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

    /// Opens a probe on a model's files.
    pub fn open_disk(&self, checkpoint: &Checkpoint, options: &ReadOptions) -> Result<DiskProbe> {
        DiskProbe::open(checkpoint, options).context("cannot start a read engine to measure the disk")
    }

    pub fn disk(&self, probe: &mut DiskProbe) -> Result<DiskSpeed> {
        probe.measure(self.time()).context("cannot read the model to measure the disk")
    }
}

/// Reads memory with as many threads as compute, inside what is free and what was allowed.
pub fn memory(threads: usize, allowed: Option<Bytes>) -> MemoryBandwidth {
    let room = [available_memory(), address_space_left(), allowed].into_iter().flatten().min();
    MemoryBandwidth::measure(threads, room)
}

/// The curve of a file, or the built-in one.
pub fn locality(file: Option<&Path>) -> Result<Locality> {
    let Some(path) = file else { return Ok(Locality::builtin()) };
    let name = path.display().to_string();
    let text = input::text(path, MAX_CONFIG_FILE)?;
    Locality::parse(&text, &name).map_err(|error| Usage(format!("{name}: {error}")).into())
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    if (0.01..=600.0).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{text} is out of range: 0.01 to 600"))
    }
}
