//! `hotset plan`: what fits, and how fast it will be.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use hotset_base::Bytes;
use hotset_engine::{
    DiskSpeed, Forecast, GIGA, Locality, OVERLAP, Plan, Speeds, TokenBytes, measure_compute,
};
use hotset_format::Checkpoint;
use hotset_outputs::{Force, Outputs};
use serde::Serialize;

use crate::engine_args::{self, EngineArgs};
use crate::measure::{self, MeasureArgs};
use crate::{model_args, output, plan_text};

/// Print what fits into a memory budget and forecast the speed of decoding
///
/// Reads the model's header, measures disk (random experts of the model), memory and compute (its
/// weight types and shapes) for a few seconds, and combines them. Loads no weights.
#[derive(Args)]
#[command(after_help = "EXAMPLES:
    hotset plan model.gguf --memory 8GiB -c 4096
    hotset plan model.gguf --memory 8GiB --no-measure --disk-gbps 2.5 --memory-gbps 60
    hotset plan model.gguf --memory 8GiB --locality curve.csv --json

A locality file has lines `fraction,hit_rate`: which share of the chosen experts is in memory when this
fraction of all experts is. `hotset bench` prints what a run reached.")]
pub struct PlanArgs {
    /// A GGUF file, a Hugging Face directory or a packed store [default: the model that ships]
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,

    /// Curve of hit rates to use instead of the built-in one
    #[arg(long, value_name = "FILE")]
    locality: Option<PathBuf>,

    /// Measure nothing: for another machine than this. Needs --disk-gbps and --memory-gbps
    #[arg(long, requires_all = ["disk_gbps", "memory_gbps"])]
    no_measure: bool,

    /// Disk bandwidth for random reads of an expert, 10^9 bytes per second, instead of measuring
    #[arg(long, value_name = "GB/S", value_parser = rate)]
    disk_gbps: Option<f64>,

    /// Memory bandwidth, 10^9 bytes per second, instead of measuring
    #[arg(long, value_name = "GB/S", value_parser = rate)]
    memory_gbps: Option<f64>,

    /// Milliseconds to compute a token with all experts in memory, instead of measuring
    #[arg(long, value_name = "MS", value_parser = rate)]
    compute_ms: Option<f64>,

    /// One JSON object on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    measure: MeasureArgs,

    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    budget_bytes: Bytes,
    budget_source: &'static str,
    program_bytes: Bytes,
    dense_bytes: Bytes,
    kv_bytes: Bytes,
    scratch_bytes: Bytes,
    arena_bytes: Bytes,
    total_bytes: Bytes,
    slots: usize,
    experts: usize,
    experts_per_layer: f64,
    context: usize,
    sessions: usize,
    threads: usize,
    warnings: &'a [String],
    token_bytes: TokenBytes,
    disk_gbps: f64,
    memory_gbps: f64,
    compute_ms: Option<f64>,
    read_cpu_ms_per_mib: f64,
    locality: &'a str,
    overlap: f64,
    formula: &'static str,
    #[serde(flatten)]
    forecast: Forecast,
    tokens_per_second: f64,
}

pub fn run(args: &PlanArgs) -> Result<()> {
    let locality = measure::locality(args.locality.as_deref())?;
    let (path, checkpoint) = model_args::open(args.model.as_deref())?;
    let mut outputs = Outputs::new(Force::NotOffered);
    model_args::protect(&mut outputs, &path, &checkpoint);
    let options = args.engine.options(&mut outputs)?;
    let prepared = engine_args::prepare(&checkpoint, options)?;
    let plan = prepared.plan();
    if !args.json {
        output::print_line(plan_text::text(plan))?;
        plan.warnings.iter().for_each(output::warn);
    }
    let speeds = args.speeds(&checkpoint, plan)?;
    let token = TokenBytes::of(&checkpoint);
    let fraction = plan.arena.slots() as f64 / plan.experts as f64;
    let forecast = Forecast::new(&token, locality.hit_rate(fraction), speeds, OVERLAP);
    if args.json {
        return output::print_json(&Report::new(plan, token, speeds, &locality, forecast));
    }
    output::print_line(describe(token, speeds, &locality, &forecast))
}

impl PlanArgs {
    /// What was told, and for the rest what is measured.
    fn speeds(&self, checkpoint: &Checkpoint, plan: &Plan) -> Result<Speeds> {
        let disk = match self.disk_gbps {
            Some(told) => DiskSpeed { rate: told * GIGA, cpu: 0.0 },
            None => {
                let mut probe = self.measure.open_disk(checkpoint, &self.engine.read_options())?;
                self.measure.disk(&mut probe)?
            }
        };
        let memory = match self.memory_gbps {
            Some(told) => told * GIGA,
            None => measure::memory(plan.threads, Some(plan.budget)).best,
        };
        let compute = match self.compute_ms {
            Some(told) => Some(told / 1e3),
            None if self.no_measure => None,
            None => {
                let speed = measure_compute(checkpoint, plan.threads, self.engine.activations());
                Some(speed.context("cannot start threads to measure")?.token().as_secs_f64())
            }
        };
        Ok(Speeds { memory, disk: disk.rate, read_cpu: disk.cpu, compute, threads: plan.threads })
    }
}

impl<'a> Report<'a> {
    fn new(
        plan: &'a Plan,
        token_bytes: TokenBytes,
        speeds: Speeds,
        locality: &'a Locality,
        forecast: Forecast,
    ) -> Self {
        Self {
            budget_bytes: plan.budget,
            budget_source: plan_text::chosen_by(plan.budget_source),
            program_bytes: plan.process,
            dense_bytes: plan.dense,
            kv_bytes: plan.kv,
            scratch_bytes: plan.scratch,
            arena_bytes: plan.arena.bytes(),
            total_bytes: plan.total(),
            slots: plan.arena.slots(),
            experts: plan.experts,
            experts_per_layer: plan.arena.experts_per_layer(),
            context: plan.context,
            sessions: plan.sessions,
            threads: plan.threads,
            warnings: &plan.warnings,
            token_bytes,
            disk_gbps: speeds.disk / GIGA,
            memory_gbps: speeds.memory / GIGA,
            compute_ms: speeds.compute.map(|seconds| seconds * 1e3),
            read_cpu_ms_per_mib: speeds.read_cpu * 1e3 * f64::from(1 << 20),
            locality: locality.source(),
            overlap: OVERLAP,
            formula: Forecast::FORMULA,
            forecast,
            tokens_per_second: forecast.tokens_per_second(),
        }
    }
}

fn describe(token: TokenBytes, speeds: Speeds, locality: &Locality, f: &Forecast) -> String {
    let mut out = String::new();
    let compute = match speeds.compute {
        Some(seconds) => format!("compute {:.1} ms", 1e3 * seconds),
        None => "compute not measured, taken to be as fast as memory".to_owned(),
    };
    // A String takes every write.
    let _ = writeln!(
        out,
        "machine    disk {:.2} GB/s (random experts), memory {:.1} GB/s, {compute}",
        speeds.disk / GIGA,
        speeds.memory / GIGA
    );
    let _ = writeln!(
        out,
        "hit rate {:>5.1} %  {}\n  disk     {:>8.1} ms  {} of {} of experts per token",
        100.0 * f.hit_rate,
        locality.source(),
        1e3 * f.disk_seconds,
        Bytes(f.read_bytes as u64),
        token.experts
    );
    let _ = writeln!(
        out,
        "  compute  {:>8.1} ms  with copying and checking what is read; {:.1} ms at least, for {} from memory",
        1e3 * f.compute_seconds,
        1e3 * f.memory_seconds,
        token.total()
    );
    let _ = write!(
        out,
        "  token    {:>8.1} ms  {}, overlap {OVERLAP}\nforecast {:.2} tokens per second",
        1e3 * f.token_seconds,
        Forecast::FORMULA,
        f.tokens_per_second()
    );
    out
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err(format!("`{text}` is not a number above 0")),
    }
}
