//! `hotset trace`: what is in a trace, and to and from other formats.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use hotset_base::Phase;
use hotset_base::figures::*;
use hotset_outputs::FileKind;
use hotset_trace::{
    CsvTrace, Ending, Recorder, SEEN_WITHIN, Summary, TraceHeader, TraceSource, export_csv, export_parquet,
};
use serde::Serialize;

use crate::figures::{Fields, OF_A_TRACE};
use crate::output::Usage;
use crate::{claims, output};

/// Look into traces of --trace, export and import them
#[derive(Args)]
pub struct TraceCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Show(ShowArgs),
    Export(ExportArgs),
    Import(ImportArgs),
}

/// Print what a trace holds: tokens, how local its routing is, hit rate and reads of the run
#[derive(Args)]
struct ShowArgs {
    /// A trace, or a routing trace in CSV
    #[arg(value_name = "TRACE")]
    trace: PathBuf,

    /// Count prompts too; otherwise decoded tokens only, unless there are none
    #[arg(long)]
    all: bool,

    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Write a trace as CSV or Parquet
#[derive(Args)]
#[command(after_help = "EXAMPLES:
    hotset trace export t.trace --csv t.csv             one line for every pick; hotset trace import reads it
    hotset trace export t.trace --parquet t.parquet     everything: one row for every layer-token")]
struct ExportArgs {
    /// A trace, or a routing trace in CSV
    #[arg(value_name = "TRACE")]
    trace: PathBuf,

    /// The picks with their weights, without the probabilities of the others
    #[arg(long, value_name = "FILE", required_unless_present = "parquet", conflicts_with = "parquet")]
    csv: Option<PathBuf>,

    /// Everything
    #[arg(long, value_name = "FILE")]
    parquet: Option<PathBuf>,

    /// Replace a file of another kind
    #[arg(long)]
    force: bool,
}

/// Make a trace of a routing trace in CSV: picks and weights, without the scores of the others
///
/// Columns turn, phase (0 prompt, 1 answer), step, layer, slot, expert, weight, residency behind header lines
/// `# route_trace v1` and `# model=NAME n_layer=N n_expert=N n_expert_used=N`; see docs/trace-format.md.
#[derive(Args)]
struct ImportArgs {
    #[arg(value_name = "CSV")]
    csv: PathBuf,

    /// The trace to write [default: the name of the CSV file with .trace at the end, here]
    #[arg(value_name = "TRACE")]
    trace: Option<PathBuf>,

    /// Replace what is there
    #[arg(long)]
    force: bool,
}

pub fn run(args: &TraceCommand) -> Result<()> {
    match &args.action {
        Action::Show(args) => show(args),
        Action::Export(args) => export(args),
        Action::Import(args) => import(args),
    }
}

/// Says how a trace ended if it is not whole.
pub fn note_ending(source: &TraceSource) {
    if let Some(Ending::Cut { readable, lost }) = source.ending() {
        output::warn(format_args!(
            "the trace was cut off: {readable} bytes are readable, {lost} behind them are not a whole block"
        ));
    }
    if source.unfinished() > 0 {
        output::warn(format_args!(
            "{} without all layers left out",
            output::counted(source.unfinished(), "token")
        ));
    }
}

fn export(args: &ExportArgs) -> Result<()> {
    let (kind, path) = match (&args.csv, &args.parquet) {
        (Some(path), _) => (FileKind::RoutingCsv, path),
        (None, Some(path)) => (FileKind::Parquet, path),
        (None, None) => return Err(Usage("name a file with --csv or --parquet".to_owned()).into()),
    };
    let file = claims::reading(&args.trace, args.force.into())?.claim(kind, path)?;
    let mut source = TraceSource::open(&args.trace)?;
    let tokens = match kind {
        FileKind::Parquet => export_parquet(&mut source, file)?,
        _ => export_csv(&mut source, file)?,
    };
    note_ending(&source);
    output::print_line(format_args!("{}: {}", path.display(), output::counted(tokens as usize, "token")))
}

fn import(args: &ImportArgs) -> Result<()> {
    let mut outputs = claims::reading(&args.csv, args.force.into())?;
    let (path, file) = match &args.trace {
        Some(path) => (path.clone(), outputs.claim(FileKind::Trace, path)?),
        // A name that the user did not write never replaces anything.
        None => {
            let path = default_name(&args.csv);
            let file = outputs.claim_new(FileKind::Trace, &path)?;
            (path, file)
        }
    };
    let mut csv = CsvTrace::open(&args.csv)?;
    let (mut recorder, file) = Recorder::create(file, csv.header())?;
    let mut tokens = 0;
    while let Some(pass) = csv.next_pass() {
        tokens += pass.rows.len();
        recorder.copy(&pass);
    }
    drop(recorder);
    let totals = file.finish()?;
    output::print_line(format_args!(
        "{}: {}, {}; it has the chosen experts only, not the scores of the others",
        path.display(),
        output::counted(tokens, "token"),
        totals.bytes
    ))
}

/// In the working directory: the CSV file may lie where nothing can be written.
fn default_name(csv: &Path) -> PathBuf {
    let mut name = csv.file_stem().unwrap_or(csv.as_os_str()).to_owned();
    name.push(".trace");
    PathBuf::from(name)
}

#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    layers: usize,
    experts: usize,
    top_k: usize,
    full_scores: bool,
    native_choice: bool,
    tokens: u64,
    setup_tokens: u64,
    reasoning_tokens: u64,
    narration_tokens: u64,
    counted_tokens: u64,
    whole: bool,
    /// Times the run waited because the disk was too slow for the trace; `None` if it was cut off.
    trace_waits: Option<u64>,
    trace_wait_ms: Option<f64>,
    seen_in_last_1: Option<f64>,
    seen_in_last_4: Option<f64>,
    seen_in_last_8: Option<f64>,
    seen_in_last_16: Option<f64>,
    seen_in_last_32: Option<f64>,
    distinct_experts_mean: f64,
    distinct_experts_min: usize,
    distinct_experts_max: usize,
    #[serde(flatten)]
    figures: Fields,
}

fn show(args: &ShowArgs) -> Result<()> {
    let mut source = TraceSource::open(&args.trace)?;
    let header = source.header().clone();
    let (mut decoded, mut all) = (Summary::new(&header, false), Summary::new(&header, true));
    while let Some(pass) = source.next_pass()? {
        decoded.add(&pass);
        all.add(&pass);
    }
    let summary = if args.all || decoded.counted_tokens() == 0 { all } else { decoded };
    let report = Report::new(&header, &summary, source.ending());
    note_ending(&source);
    if args.json {
        return output::print_json(&report);
    }
    output::print_line(table(&args.trace, &header, &report))
}

impl<'a> Report<'a> {
    fn new(header: &'a TraceHeader, summary: &Summary, ending: Option<Ending>) -> Self {
        let tokens = |phase: Phase| summary.tokens[phase as usize];
        let counted = summary.counted_tokens();
        let distinct: Vec<usize> = summary.distinct().collect();
        let seen = summary.seen_within();
        let waits = match ending {
            Some(Ending::Whole { waits, waited }) => Some((waits, waited.as_secs_f64() * 1e3)),
            _ => None,
        };
        Self {
            model: &header.model,
            layers: header.layers,
            experts: header.experts,
            top_k: header.top_k,
            full_scores: header.full_scores,
            native_choice: header.native_choice,
            tokens: summary.all_tokens(),
            setup_tokens: tokens(Phase::Setup),
            reasoning_tokens: tokens(Phase::Reasoning),
            narration_tokens: tokens(Phase::Narration),
            counted_tokens: counted,
            whole: !matches!(ending, Some(Ending::Cut { .. })),
            trace_waits: waits.map(|(count, _)| count),
            trace_wait_ms: waits.map(|(_, ms)| ms),
            seen_in_last_1: seen[0],
            seen_in_last_4: seen[1],
            seen_in_last_8: seen[2],
            seen_in_last_16: seen[3],
            seen_in_last_32: seen[4],
            distinct_experts_mean: distinct.iter().sum::<usize>() as f64 / distinct.len() as f64,
            distinct_experts_min: distinct.iter().copied().min().unwrap_or_default(),
            distinct_experts_max: distinct.iter().copied().max().unwrap_or_default(),
            figures: Fields::of(&summary.totals(), &OF_A_TRACE),
        }
    }
}

fn table(path: &Path, header: &TraceHeader, r: &Report<'_>) -> String {
    let percent = |share: Option<f64>| match share {
        Some(share) => format!("{:.1} %", 100.0 * share),
        None => "-".to_owned(),
    };
    let figure = |figure, digits| r.figures.told(figure, digits);
    let seen = [r.seen_in_last_1, r.seen_in_last_4, r.seen_in_last_8, r.seen_in_last_16, r.seen_in_last_32];
    let seen: Vec<String> =
        SEEN_WITHIN.iter().zip(seen).map(|(tokens, share)| format!("{tokens}: {}", percent(share))).collect();
    let scores = if r.full_scores { "of all experts" } else { "of the chosen experts only" };
    let of = if r.counted_tokens == r.tokens { "all tokens" } else { "decoded tokens" };
    let rows = [
        (
            "model",
            format!("{}, {} layers of {} experts, {} per token", r.model, r.layers, r.experts, r.top_k),
        ),
        ("scores", scores.to_owned()),
        (
            "tokens",
            format!(
                "{}: {} setup, {} reasoning, {} narration",
                r.tokens, r.setup_tokens, r.reasoning_tokens, r.narration_tokens
            ),
        ),
        ("figures of", of.to_owned()),
        ("seen in last", format!("{} (tokens, in the same layer)", seen.join(", "))),
        (
            "distinct experts",
            format!(
                "{:.1} per layer (min {}, max {})",
                r.distinct_experts_mean, r.distinct_experts_min, r.distinct_experts_max
            ),
        ),
        ("hit rate", format!("{} %", figure(&HIT_RATE, 1))),
        (
            "reads",
            format!(
                "{} on demand, {} prefetched late, {} prefetches begun per token",
                figure(&DEMAND_READS_PER_TOKEN, 2),
                figure(&PREFETCH_LATE_PER_TOKEN, 2),
                figure(&PREFETCH_STARTED_PER_TOKEN, 2)
            ),
        ),
        ("stall", format!("{} ms per token", figure(&STALL_MS_PER_TOKEN, 2))),
    ];
    let waited = match (r.trace_waits, r.trace_wait_ms) {
        (Some(waits @ 1..), Some(ms)) => Some(("waited for disk", format!("{waits} times, {ms:.1} ms"))),
        _ => None,
    };
    let options = header.options.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let mut out = path.display().to_string();
    for (name, value) in rows.into_iter().chain(waited).chain(options) {
        let _ = write!(out, "\n  {name:<16} {value}");
    }
    out
}
