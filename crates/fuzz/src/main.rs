//! `hotset-fuzz`: runs the campaign, and is its own worker.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use hotset_fuzz::ALL;
use hotset_fuzz::campaign::{Campaign, Report};
use hotset_fuzz::target::Entry;
use hotset_fuzz::worker::{self, Task};
use hotset_testkit::Random;
use indicatif::{ProgressBar, ProgressStyle};
use peak_alloc::PeakAlloc;

/// Counts what readers allocate.
#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

/// Gives every reader of hotset hostile inputs and says what they did to it
///
/// Each input follows from the seed and its number alone. Readers run in processes of their own: a crash, an abort or a
/// hang ends only that one. Readers of the command run the `hotset` beside this program; build both alike.
#[derive(Parser)]
#[command(name = "hotset-fuzz", max_term_width = 100, after_help = after_help())]
struct Args {
    /// What to try [default: everything]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// Inputs for each target
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    inputs: u64,

    /// Decides every input [default: a fresh one, printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Repeat one input of that seed
    #[arg(long, value_name = "NUMBER", requires = "seed")]
    only: Option<u64>,

    /// Targets tried at the same time
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,

    /// Where inputs that fail are kept [default: hotset-fuzz in the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,

    /// The command [default: the hotset beside this program]
    #[arg(long, value_name = "PATH")]
    hotset: Option<PathBuf>,

    /// Try inputs of this target and say so, line by line
    #[arg(long, hide = true, value_name = "TARGET", requires_all = ["dir", "from", "to"])]
    worker: Option<String>,
    #[arg(long, hide = true)]
    dir: Option<PathBuf>,
    #[arg(long, hide = true)]
    from: Option<u64>,
    #[arg(long, hide = true)]
    to: Option<u64>,
}

fn after_help() -> String {
    let targets = ALL.iter().map(|entry| format!("    {:<12} {}\n", entry.name, entry.about));
    format!(
        "TARGETS:\n{}\nEXAMPLES:
    cargo build --release && cargo run --release -p hotset-fuzz
    cargo run --release -p hotset-fuzz -- store trace --inputs 100000 --jobs 2
    cargo run --release -p hotset-fuzz -- store --seed 7 --only 4711      one input again

Exit codes: 0 nothing failed, 1 something did, 2 wrong usage.",
        targets.collect::<String>()
    )
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn entry(name: &str) -> Result<Entry> {
    let found = ALL.iter().find(|entry| entry.name == name).copied();
    found.ok_or_else(|| anyhow!("{name} is no target; --help lists them"))
}

/// Whether nothing failed.
fn run(args: &Args) -> Result<bool> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let beside = || program.with_file_name("hotset");
    let hotset = args.hotset.clone().unwrap_or_else(beside);
    let seed = args.seed.unwrap_or_else(Random::fresh_seed);
    if let (Some(name), Some(dir), Some(from), Some(to)) = (&args.worker, &args.dir, args.from, args.to) {
        let task = Task { seed, numbers: from..to, dir: dir.clone(), hotset };
        worker::work_aloud(&entry(name)?, &task)?;
        return Ok(true);
    }
    let entries = match args.targets.is_empty() {
        true => ALL.to_vec(),
        false => args.targets.iter().map(|name| entry(name)).collect::<Result<_>>()?,
    };
    if entries.iter().any(|entry| entry.in_command) && !hotset.exists() {
        return Err(anyhow!("{} is not there; build it: cargo build -p hotset", hotset.display()));
    }
    let numbers = args.only.map_or(0..args.inputs, |only| only..only + 1);
    let keep = args.keep.clone().unwrap_or_else(|| std::env::temp_dir().join("hotset-fuzz"));
    let campaign = Campaign { seed, numbers, program, hotset, keep };
    println!("seed {seed}");
    let reports = run_all(&campaign, &entries, args.jobs.max(1))?;
    print_table(&entries, &reports, seed);
    if args.only.is_some() {
        let refusals = reports.iter().filter_map(|report| report.refusal.as_ref());
        refusals.for_each(|refusal| println!("refused: {}", refusal.escape_debug()));
    }
    Ok(reports.iter().all(|report| report.failures.is_empty()))
}

fn run_all(campaign: &Campaign, entries: &[Entry], jobs: usize) -> Result<Vec<Report>> {
    let each = campaign.numbers.end - campaign.numbers.start;
    let bar = ProgressBar::new(each * entries.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec} {msg}, {eta} left")?);
    let (next, reports) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(entries.len()) {
            scope.spawn(|| {
                while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let at = entries.iter().position(|other| other.name == entry.name);
                    bar.set_message(entry.name);
                    let report = campaign.run(entry, &|| bar.inc(1));
                    reports.lock().expect("no thread panics").push((at, report));
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut reports = reports.into_inner().expect("no thread panics");
    reports.sort_by_key(|(at, _)| *at);
    reports.into_iter().map(|(_, report)| Ok(report?)).collect()
}

fn print_table(entries: &[Entry], reports: &[Report], seed: u64) {
    println!(
        "{:<12} {:>8} {:>8} {:>8} {:>8} {:>10} (input) {:>11} (input)",
        "target", "inputs", "accepted", "refused", "failures", "worst time", "most memory"
    );
    for (entry, report) in entries.iter().zip(reports) {
        println!(
            "{:<12} {:>8} {:>8} {:>8} {:>8} {:>8.3} s ({}) {:>7.1} MiB ({})",
            entry.name,
            report.inputs,
            report.accepted(),
            report.refused,
            report.failures.len(),
            report.slowest.0.as_secs_f64(),
            report.slowest.1,
            report.largest.0 as f64 / f64::from(1 << 20),
            report.largest.1,
        );
    }
    for (entry, report) in entries.iter().zip(reports) {
        for failure in &report.failures {
            println!("\n{} --seed {seed} --only {}: {}", entry.name, failure.number, failure.why);
            println!("  kept in {}", failure.kept.display());
        }
    }
}
