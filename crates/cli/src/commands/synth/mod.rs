//! `hotset synth`: models with random weights and planted routing.

mod check;
mod shape;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use clap::{ArgGroup, Args, ValueEnum};
use hotset_base::Bytes;
use hotset_convert::synth::{PlantedText, SynthFormat, seed_of, synth, synth_bytes};
use hotset_outputs::{FileKind, Outputs};
use serde::Serialize;

use crate::engine_args::EngineArgs;
use crate::output::Usage;
use crate::{model_args, output, stop, threads};
use shape::ShapeArgs;

/// Write a model with random weights and planted routing: its text is noise, its speed is real
///
/// The file has exactly the tensors of a Qwen3-MoE model of the wanted shape, with the weight types of
/// a published Q4_K_M file, and its routing is as local as the real model's is known to be. So it
/// takes the memory, the reads and the time of a real one. It knows nothing: every text it writes is
/// made-up words. Other programs that run GGUF files load it too.
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true).args(["target", "check", "text_of"]))]
#[command(after_help = "EXAMPLES:
    hotset synth big.gguf                          the size of Qwen3-30B-A3B, 17.3 GiB
    hotset synth big.hotset --seed 7               the same as a packed store
    hotset synth small.gguf --preset demo-shape --layers 12
    hotset synth --check big.gguf                  its routing against the real model's
    hotset synth --text-of big.gguf --tokens 500 > prompt.txt")]
pub struct SynthArgs {
    /// The file to write: a packed store if its name ends in .hotset, else GGUF
    #[arg(value_name = "DST")]
    target: Option<PathBuf>,

    /// Measure the routing of a model on its planted text and compare it with what is known of the
    /// real one; exit code 1 if a figure is off by more than 5 points
    #[arg(long, value_name = "MODEL")]
    check: Option<PathBuf>,

    /// Print the text that a synthetic model continues: prompts for measurements
    #[arg(long, value_name = "MODEL")]
    text_of: Option<PathBuf>,

    /// Tokens of the planted text for --check and --text-of
    #[arg(long, value_name = "N", default_value_t = 256)]
    tokens: usize,

    /// Where in the planted text to begin
    #[arg(long, value_name = "N", default_value_t = 0)]
    start: usize,

    /// Another text for --check; then any model can be looked at
    #[arg(long, value_name = "FILE", requires = "check")]
    text: Option<PathBuf>,

    /// Seed; the same seed gives the same weights in either format
    #[arg(short = 's', long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// The container, whatever the target's name
    #[arg(long, value_enum)]
    format: Option<FormatName>,

    /// Overwrite an existing target
    #[arg(long)]
    force: bool,

    /// One JSON object on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    shape: ShapeArgs,

    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// One GGUF file
    Gguf,
    /// A packed store
    Store,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "crate::output::json_path")]
    model: &'a Path,
    name: &'a str,
    seed: u64,
    file_bytes: Bytes,
    store_id: Option<&'a str>,
    seconds: f64,
}

pub fn run(args: &SynthArgs) -> Result<()> {
    if let Some(model) = &args.check {
        return check::run(args, model);
    }
    if let Some(model) = &args.text_of {
        return print_text(args, model);
    }
    write(args, args.target.as_deref().unwrap_or(Path::new("")))
}

fn write(args: &SynthArgs, target: &Path) -> Result<()> {
    let config = args.shape.config()?;
    let (format, kind) = match args.format {
        Some(FormatName::Store) => (SynthFormat::Store, FileKind::Store),
        None if target.extension().is_some_and(|extension| extension == "hotset") => {
            (SynthFormat::Store, FileKind::Store)
        }
        Some(FormatName::Gguf) | None => (SynthFormat::Gguf, FileKind::Gguf),
    };
    let total = synth_bytes(&config).map_err(|error| Usage(error.to_string()))?;
    stop::watch()?;
    let file = Outputs::new(args.force.into()).claim_new(kind, target)?;
    threads::start_shared_pool()?;
    let bar = output::byte_bar("making", total);
    let start = Instant::now();
    let report = synth(&config, args.seed, file, format, &|done| bar.set_position(done.0))?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    if args.json {
        return output::print_json(&Report {
            model: target,
            name: &report.name,
            seed: args.seed,
            file_bytes: report.file_bytes,
            store_id: report.store_id.as_deref(),
            seconds,
        });
    }
    output::print_line(format_args!(
        "{}: {}, {} in {seconds:.1} s ({:.0} MiB/s); its text is noise, its speed is real",
        target.display(),
        report.name,
        report.file_bytes,
        report.file_bytes.as_mib() / seconds,
    ))
}

fn print_text(args: &SynthArgs, model: &Path) -> Result<()> {
    let (_, checkpoint) = model_args::open(Some(model))?;
    let text = planted(&checkpoint.config, model)?.text(args.range());
    if args.json {
        return output::print_json(&serde_json::json!({ "text": text, "tokens": args.tokens }));
    }
    output::print_line(text)
}

/// The text of a synthetic model; other models have none.
fn planted(config: &hotset_format::ModelConfig, model: &Path) -> Result<PlantedText> {
    let seed = seed_of(config).ok_or_else(|| {
        let path = model.display();
        Usage(format!(
            "{path} was not made by `hotset synth`: it has no planted text; --check takes one with --text"
        ))
    })?;
    Ok(PlantedText::new(config.vocab, seed))
}

impl SynthArgs {
    fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start.saturating_add(self.tokens)
    }
}
