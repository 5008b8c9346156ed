//! `hotset bench --kernels`: every kernel beside the machine's memory.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use hotset_engine::{Activations, GIGA, MemoryBandwidth, kernels_in_use, measure_kernels};
use serde::Serialize;

use super::OutputFormat;
use crate::{csv, measure, output};

#[derive(Serialize)]
struct Report {
    instruction_set: &'static str,
    memory: Vec<Memory>,
    kernels: Vec<Kernel>,
}

#[derive(Serialize)]
struct Memory {
    threads: usize,
    gbps: f64,
}

#[derive(Serialize)]
struct Kernel {
    #[serde(rename = "type")]
    ty: &'static str,
    activations: &'static str,
    threads: usize,
    /// Of weights.
    gbps: f64,
    /// What as many threads read without computing.
    memory_gbps: f64,
}

/// Measures with one thread and with `threads`, and prints.
pub fn run(threads: Option<usize>, format: OutputFormat) -> Result<()> {
    let all = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let counts = if all == 1 { vec![1] } else { vec![1, all] };
    let report = measure(&counts)?;
    match format {
        OutputFormat::Table => output::print_line(table(&report)),
        OutputFormat::Json => output::print_json(&report),
        OutputFormat::Csv => {
            let kernels = report.kernels.iter().map(serde_json::to_value);
            output::print_line(csv::table(&kernels.collect::<Result<Vec<_>, _>>()?))
        }
    }
}

fn measure(counts: &[usize]) -> Result<Report> {
    let memory: Vec<MemoryBandwidth> = counts.iter().map(|&threads| measure::memory(threads, None)).collect();
    let memory: Vec<Memory> =
        memory.iter().map(|m| Memory { threads: m.threads, gbps: m.best / GIGA }).collect();
    let speeds = measure_kernels(counts).context("cannot start threads to measure")?;
    let memory_of = |threads| memory.iter().find(|m| m.threads == threads).map_or(f64::NAN, |m| m.gbps);
    let kernels = speeds.iter().map(|speed| Kernel {
        ty: speed.ty.name(),
        activations: name(speed.activations),
        threads: speed.threads,
        gbps: speed.rate / GIGA,
        memory_gbps: memory_of(speed.threads),
    });
    Ok(Report { instruction_set: kernels_in_use(), kernels: kernels.collect(), memory })
}

fn name(activations: Activations) -> &'static str {
    match activations {
        Activations::Int8 => "int8",
        Activations::F32 => "f32",
    }
}

/// A line for each type, a pair of columns for each number of threads.
fn table(report: &Report) -> String {
    let mut out = format!("GB/s of weights from memory; kernels use {}\n", report.instruction_set);
    let mut line = |first: &str, column: &dyn Fn(usize, &str) -> String| {
        let columns =
            report.memory.iter().flat_map(|m| ["f32", "int8"].map(|kernel| column(m.threads, kernel)));
        let columns: Vec<String> = columns.map(|column| format!("{column:>10}")).collect();
        // A String takes every write.
        let _ = writeln!(out, "{first:<10}{}", columns.concat());
    };
    line("threads", &|threads, _| threads.to_string());
    line("vector", &|_, kernel| kernel.to_owned());
    for types in report.kernels.chunk_by(|a, b| a.ty == b.ty) {
        line(types[0].ty, &|threads, kernel| {
            let found = types.iter().find(|k| (k.threads, k.activations) == (threads, kernel));
            found.map_or("-".to_owned(), |k| format!("{:.2}", k.gbps))
        });
    }
    line("(memory)", &|threads, _| {
        let found = report.memory.iter().find(|m| m.threads == threads);
        found.map_or(String::new(), |m| format!("{:.2}", m.gbps))
    });
    out.trim_end().to_owned()
}
