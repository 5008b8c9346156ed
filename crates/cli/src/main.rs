//! The `hotset` command: arguments in, text or JSON out.
//!
//! Owns parsing, printing and exit codes: 0 done, 1 failed, 2 wrong usage. It must never touch
//! tensors, or decide what memory a model gets: that is the engine's plan, which it prints. The crates below
//! return typed errors, only this one prints them.
#![forbid(unsafe_code)]

mod advice;
mod answer;
mod claims;
mod clock;
mod commands;
mod console;
mod csv;
mod ending;
mod engine_args;
mod figures;
mod input;
mod ledger_args;
mod llama_flags;
mod locate;
mod measure;
mod model_args;
mod output;
mod plan_text;
mod prompt;
mod router_args;
mod run_report;
mod sampling_args;
mod stop;
mod stream;
mod template_args;
mod threads;
mod trace_args;

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Memory that is refused ends the program with an error, not with a signal.
#[global_allocator]
static ALLOCATOR: hotset_engine::Allocator = hotset_engine::Allocator { advice: advice::MEMORY_REFUSED };

/// Runs Mixture-of-Experts language models that are larger than the memory they are given.
///
/// hotset keeps the experts that the present context needs in one arena and pages the others in
/// from disk, inside a memory budget that it prints first and keeps.
#[derive(Parser)]
#[command(name = "hotset", version, max_term_width = 100, args_override_self = true)]
#[command(after_help = "EXAMPLES:
    hotset run \"Once upon a time\"                 the model that ships, half of it in memory
    hotset run Qwen3-30B-A3B-Q4_K_M.gguf --memory 8GiB
    hotset pack ./Qwen3-30B-A3B qwen3.hotset --quant q4_k_m
    hotset perplexity qwen3.hotset text.txt --memory 8GiB --json
    hotset plan model.gguf --memory 8GiB           what fits, and how fast it will be
    hotset bench model.gguf --memory 7GiB --limit 8GiB
    hotset run \"Once\" --trace t.trace; hotset replay t.trace
    hotset run --trust-ledger my.ledger; hotset trust show my.ledger

Figures and words are explained in ARCHITECTURE.md. Exit codes: 0 done, 1 failed, 2 wrong usage.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(commands::run::RunArgs),
    Perplexity(commands::perplexity::PerplexityArgs),
    Pack(commands::pack::PackArgs),
    Verify(commands::verify::VerifyArgs),
    Show(commands::show::ShowArgs),
    Bench(commands::bench::BenchArgs),
    Plan(commands::plan::PlanArgs),
    Doctor(commands::doctor::DoctorArgs),
    Synth(Box<commands::synth::SynthArgs>),
    Trace(commands::trace::TraceCommand),
    Replay(commands::replay::ReplayArgs),
    Trust(commands::trust::TrustCommand),
}

fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error),
    };
    let result = match cli.command {
        Command::Run(args) => commands::run::run(&args),
        Command::Perplexity(args) => commands::perplexity::run(&args),
        Command::Pack(args) => commands::pack::run(&args),
        Command::Verify(args) => commands::verify::run(&args),
        Command::Show(args) => commands::show::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Synth(args) => commands::synth::run(&args),
        Command::Trace(args) => commands::trace::run(&args),
        Command::Replay(args) => commands::replay::run(&args),
        Command::Trust(args) => commands::trust::run(&args),
    };
    match result {
        Ok(()) => stop::exit_code().map_or(ExitCode::SUCCESS, ExitCode::from),
        Err(error) => output::fail(&error),
    }
}

fn parse() -> Result<Cli, clap::Error> {
    let mut command = without_empty_variables(Cli::command());
    let args = llama_flags::with_long_names(std::env::args_os());
    let mut matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Variables and the names they had before: these go on to count where the new ones are not set.
const OLD_VARIABLES: [(&str, &str); 1] = [("HOTSET_PREDICTOR", "HOTSET_FORETELL")];

/// A variable that is set and empty counts as unset, as compose files and shells leave them.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_set = |name: &OsStr| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let named = |arg: clap::Arg| match arg.get_env() {
        Some(name) if !is_set(name) => {
            let old = OLD_VARIABLES.iter().find(|(new, old)| name == *new && is_set(OsStr::new(old)));
            arg.env(old.map_or(Resettable::Reset, |(_, old)| Resettable::Value((*old).into())))
        }
        _ => arg,
    };
    command.mut_args(named).mut_subcommands(without_empty_variables)
}
