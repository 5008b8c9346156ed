//! `hotset bench`: how fast, beside how fast it could be.

mod expected;
mod kernels;
mod limit;
mod prompt;
mod report;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use hotset_base::Bytes;
use hotset_base::figures::TOKENS_PER_SECOND;
use hotset_engine::{ControlGroup, Engine, Repetition, Session, Workload, measure_compute, peak_memory};
use hotset_format::Checkpoint;
use hotset_outputs::Force;

use self::limit::Place;
use self::prompt::Prompts;
use self::report::{GroupReport, Machine, Report, Run};
use crate::engine_args::EngineArgs;
use crate::figures::told;
use crate::measure::{self, MeasureArgs};
use crate::output::{Forwarded, Usage};
use crate::trace_args::TraceArgs;
use crate::{claims, csv, ending, model_args, output, stop};

/// Measure speed, memory and reads, beside what this machine could give
///
/// Every repetition computes a prompt, decodes some tokens to warm up and then the tokens that count,
/// greedily and past the model's own stops. The arena is empty before the first repetition and stays as
/// it is between them. The disk is measured before, between and after the repetitions with random reads
/// of the model's experts; memory and compute after them. The floor of a token is the larger of (weights
/// it touches / memory bandwidth) and (bytes it read / disk bandwidth).
#[derive(Args)]
#[command(after_help = "EXAMPLES:
    hotset bench                                    the model that ships
    hotset bench model.gguf --memory 7GiB --limit 8GiB -p 512 -n 128 -r 3
    hotset bench model.gguf -p 0 -n 64 -t 4 --json
    hotset bench model.gguf -np 4 -c 1024           four sessions decode together, a token of each in a pass
    hotset bench --kernels                          no model: weights times a vector, every type

Percentiles are of single passes of all repetitions, a token of each session: p99.9 means something from 1000 tokens on.")]
pub struct BenchArgs {
    /// A GGUF file, a Hugging Face directory or a packed store [default: the model that ships]
    #[arg(value_name = "MODEL")]
    positional: Option<PathBuf>,

    /// The same, as llama-bench has it
    #[arg(short = 'm', long, env = "HOTSET_MODEL", value_name = "PATH", conflicts_with = "positional")]
    model: Option<PathBuf>,

    /// Prompt tokens; 0 measures decoding only, after one token
    #[arg(short = 'p', long, value_name = "N", default_value_t = 512)]
    n_prompt: usize,

    /// Tokens to decode that count; 0 measures the prompt only
    #[arg(short = 'n', long, value_name = "N", default_value_t = 128)]
    n_gen: usize,

    /// Tokens to decode before those
    #[arg(long, value_name = "N", default_value_t = 32)]
    warmup: usize,

    /// Repetitions; median and range are reported
    #[arg(short = 'r', long, value_name = "N", default_value_t = 3)]
    repetitions: usize,

    /// Take the prompts from this text instead of a built-in one
    #[arg(short = 'f', long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// Run inside a control group that limits memory, page cache included, and report its peak; needs
    /// root or a delegated group
    #[arg(long, value_name = "SIZE")]
    limit: Option<Bytes>,

    /// Measure the kernels instead of a model: GB/s of weights, with one thread and with all
    #[arg(long, conflicts_with_all = ["positional", "limit", "file"])]
    kernels: bool,

    /// Curve of hit rates for the forecast, as for `hotset plan`
    #[arg(long, value_name = "FILE")]
    locality: Option<PathBuf>,

    /// How to print
    #[arg(short = 'o', long, value_enum, default_value_t = OutputFormat::Table)]
    output: OutputFormat,

    /// One JSON object on standard output: -o json
    #[arg(long, conflicts_with_all = ["output", "csv"])]
    json: bool,

    /// A line of names and a line of values: -o csv
    #[arg(long, conflicts_with = "output")]
    csv: bool,

    #[command(flatten)]
    measure: MeasureArgs,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    trace: TraceArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// For people
    Table,
    /// One object
    Json,
    /// Two lines
    Csv,
}

pub fn run(args: &BenchArgs) -> Result<()> {
    if args.kernels {
        return kernels::run(args.engine.threads(), args.format());
    }
    let workload = args.workload()?;
    let locality = measure::locality(args.locality.as_deref())?;
    // Looked at before a group is made: a wrong name is not worth one.
    let (path, checkpoint) = model_args::open(args.model.as_deref().or(args.positional.as_deref()))?;
    match limit::enter(args.limit)? {
        Place::Done => Ok(()),
        Place::Measure(group) => {
            let (run, machine) = args.measure(path, &checkpoint, workload, group.as_ref())?;
            args.print(&Report::new(&checkpoint, run, machine, &locality))
        }
    }
}

impl BenchArgs {
    fn workload(&self) -> Result<Workload> {
        let refuse = |text: String| Err(Usage(text).into());
        if self.n_prompt == 0 && self.n_gen == 0 {
            return refuse("-p 0 -n 0 leaves nothing to measure".to_owned());
        }
        if self.repetitions == 0 {
            return refuse("-r 0 leaves nothing to measure".to_owned());
        }
        let warmup = if self.n_gen == 0 { 0 } else { self.warmup };
        let workload = Workload { prompt: self.n_prompt, warmup, predict: self.n_gen };
        match self.engine.ctx_size {
            Some(context) if context > 0 && context < workload.context() => refuse(format!(
                "-p {}, {warmup} tokens of warm-up and -n {} need a context of {}; -c is {context}",
                self.n_prompt,
                self.n_gen,
                workload.context()
            )),
            _ => Ok(workload),
        }
    }

    fn format(&self) -> OutputFormat {
        match (self.json, self.csv) {
            (true, _) => OutputFormat::Json,
            (_, true) => OutputFormat::Csv,
            _ => self.output,
        }
    }

    fn measure(
        &self,
        path: PathBuf,
        checkpoint: &Checkpoint,
        workload: Workload,
        group: Option<&ControlGroup>,
    ) -> Result<(Run, Machine)> {
        let mut outputs = claims::of_model(&path, checkpoint, Force::NotOffered)?;
        [&self.file, &self.locality].into_iter().flatten().for_each(|path| outputs.reads(path));
        let trace = self.trace.claim(&mut outputs)?;
        let mut options = self.engine.options(&mut outputs)?;
        options.context = options.context.or(Some(workload.context()));
        // Before the plan, which then counts its buffers.
        let mut disk = self.measure.open_disk(checkpoint, &options.pager.read)?;
        let table = self.format() == OutputFormat::Table;
        let mut engine = self.engine.open(checkpoint, options, !table)?;
        TraceArgs::begin(&mut engine, trace)?;
        let prompts = Prompts::new(&engine, self.file.as_deref())?;
        let mut disk_speeds = vec![self.measure.disk(&mut disk)?];
        let mut repetitions = Vec::new();
        let sessions = (0..engine.plan().sessions).map(|_| engine.session());
        let mut sessions = sessions.collect::<Result<Vec<_>, _>>()?;
        engine.end_when(stop::gently().cancel());
        let measured = (0..self.repetitions).try_for_each(|i| {
            let (of_each, all) = (sessions.len(), sessions.len() * self.repetitions);
            let cut = |session| prompts.cut(workload.prompt, i * of_each + session, all);
            let prompts: Vec<Vec<u32>> = (0..of_each).map(cut).collect();
            repetitions.push(self.repeat(&mut engine, &mut sessions, &prompts, workload, i, table)?);
            disk_speeds.push(self.measure.disk(&mut disk)?);
            Ok(())
        });
        ending::end(&mut engine, (&self.trace, &self.engine.ledger), !table, measured)?;
        if let Some(code) = stop::exit_code() {
            // Half a measurement is none.
            return Err(Forwarded(code).into());
        }
        let run = Run {
            path,
            prompt_source: prompts.source,
            workload,
            read_engine: engine.read_engine().to_owned(),
            plan: engine.plan().clone(),
            peak: peak_memory(),
            group: group.map(|group| GroupReport::new(group, self.limit)),
            repetitions,
        };
        // Peaks are taken: what is measured next has the memory of the engine to itself.
        drop((engine, sessions));
        let threads = run.plan.threads;
        let machine = Machine {
            memory: measure::memory(threads, self.limit.or(Some(run.plan.budget))),
            compute: measure_compute(checkpoint, threads, self.engine.activations())
                .context("cannot start threads to measure")?,
            disk: disk_speeds,
            disk_depth: disk.depth(),
        };
        Ok((run, machine))
    }

    fn repeat(
        &self,
        engine: &mut Engine,
        sessions: &mut [Session],
        prompts: &[Vec<u32>],
        workload: Workload,
        number: usize,
        tell: bool,
    ) -> Result<Repetition> {
        let bar = output::count_bar("tokens", (sessions.len() * workload.context()) as u64);
        let repetition = engine.repeat(sessions, prompts, workload, &mut |tokens| bar.inc(tokens as u64))?;
        bar.finish_and_clear();
        if tell {
            output::note(format_args!(
                "run {} of {}: prompt {} tok/s, decode {} tok/s",
                number + 1,
                self.repetitions,
                told(&repetition.prefill, &TOKENS_PER_SECOND, 2),
                told(&repetition.decode, &TOKENS_PER_SECOND, 2)
            ));
        }
        Ok(repetition)
    }

    fn print(&self, report: &Report) -> Result<()> {
        match self.format() {
            OutputFormat::Table => output::print_line(table::table(report)),
            OutputFormat::Json => output::print_json(report),
            OutputFormat::Csv => output::print_line(csv::lines(&serde_json::to_value(report)?)),
        }
    }
}
