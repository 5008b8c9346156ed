//! `hotset perplexity`: how well a model predicts texts.

mod price;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use hotset_base::limits::MAX_PROMPT;
use hotset_engine::{Engine, EngineError, Perplexity, Windowing, peak_memory, perplexity, price};
use serde::Serialize;

use crate::engine_args::EngineArgs;
use crate::figures::paging;
use crate::output::{Forwarded, Usage, counted};
use crate::routing_report::RoutingReport;
use crate::trace_args::TraceArgs;
use crate::{input, model_args, output};

/// Score texts: perplexity per token
#[derive(Args)]
#[command(after_help = "EXAMPLES:
    hotset perplexity models/demo/demo.hotset README.md
    hotset perplexity models/demo/demo.hotset README.md --router trust --compare-native
    hotset perplexity model.gguf wiki.test.raw --windowing second-half --memory 8GiB --json")]
pub struct PerplexityArgs {
    /// The model: a GGUF file, a Hugging Face directory or a packed store
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Texts, UTF-8
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Which tokens are scored
    #[arg(long, value_enum, default_value_t = WindowingName::Whole)]
    windowing: WindowingName,

    /// Score only the first N windows of each text
    #[arg(long, value_name = "N")]
    chunks: Option<usize>,

    /// Score every text under the model's own routing, too, and report what --router costs and saves. Token
    /// by token, each pass from an empty arena
    #[arg(long)]
    compare_native: bool,

    /// One JSON object per file on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    trace: TraceArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum WindowingName {
    /// Windows of -c tokens (default 512), each on its own; every token but the first is scored
    Whole,
    /// As llama-perplexity: full windows only, the second half of each is scored
    SecondHalf,
}

/// The window unless -c says otherwise.
const WINDOW: usize = 512;

#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "crate::output::json_path")]
    file: &'a Path,
    tokens: usize,
    scored_tokens: usize,
    perplexity: f64,
    nll_nats: f64,
    bits_per_byte: f64,
    tps: f64,
    hit_rate: f64,
    #[serde(flatten)]
    routing: RoutingReport,
    read_mib_per_token: f64,
    stall_ms_per_token: f64,
    peak_memory_bytes: Option<u64>,
}

pub fn run(args: &PerplexityArgs) -> Result<()> {
    // Texts first: a misspelt name should not cost the loading of a model.
    let texts = args.texts()?;
    let (_, checkpoint) = model_args::open(Some(&args.model))?;
    let mut options = args.engine.options()?;
    options.context = options.context.or(Some(WINDOW));
    let mut engine = args.engine.open(&checkpoint, options, args.json)?;
    args.trace.begin(&mut engine)?;
    let mut session = engine.session()?;
    if args.compare_native && !engine.router().is_lossy() {
        return Err(Usage("--compare-native compares a lossy --router with native".to_owned()).into());
    }
    let mut prices = Vec::new();
    let mut unscored = false;
    for (path, text) in args.files.iter().zip(&texts) {
        let mut tokens = engine.tokenizer().encode(text, true)?;
        let window = session.context();
        if let Some(chunks) = args.chunks {
            tokens.truncate(chunks.saturating_mul(window));
        }
        let passes = 1 + u64::from(args.compare_native);
        let bar = output::count_bar("tokens", passes * tokens.len() as u64);
        let mut progress = |done: usize| bar.set_position(done as u64);
        let windows = (window, args.windowing.into());
        if args.compare_native {
            let found = price(&mut engine, &mut session, &tokens, windows, &mut progress);
            bar.finish_and_clear();
            let Some(found) = scored(path, found)? else {
                unscored = true;
                continue;
            };
            price::report(path, engine.router().name(), &found, args.json)?;
            prices.push(found);
        } else {
            let score = perplexity(&mut engine, &mut session, &tokens, windows.0, windows.1, &mut progress);
            bar.finish_and_clear();
            let Some(score) = scored(path, score)? else {
                unscored = true;
                continue;
            };
            args.report(&engine, path, &score)?;
        }
    }
    if prices.len() > 1 {
        price::Summary::of(&prices, engine.router().name()).print(args.json)?;
    }
    args.trace.end(&mut engine, args.json)?;
    args.engine.ledger.save(&mut engine, args.json)?;
    if unscored { Err(Forwarded(1).into()) } else { Ok(()) }
}

/// A score; `None`, once that is said, for a text that is too short: the others can be scored all the same.
fn scored<T>(path: &Path, result: Result<T, EngineError>) -> Result<Option<T>> {
    let too_short = matches!(result, Err(EngineError::TextTooShort(_)));
    match result.with_context(|| path.display().to_string()) {
        Err(error) if too_short => {
            output::complain(&error);
            Ok(None)
        }
        result => result.map(Some),
    }
}

impl PerplexityArgs {
    /// What is to be scored.
    fn texts(&self) -> Result<Vec<String>> {
        let text = |path: &PathBuf| {
            let text = input::text(path, MAX_PROMPT)?;
            let empty = || Usage(format!("{} is empty: there is nothing to score", path.display()));
            if text.is_empty() { Err(empty().into()) } else { Ok(text) }
        };
        self.files.iter().map(text).collect()
    }

    fn report(&self, engine: &Engine, path: &Path, score: &Perplexity) -> Result<()> {
        let figures = &score.figures;
        if !self.json {
            output::print_line(format_args!(
                "{}: perplexity {:.4} over {} of {}",
                path.display(),
                score.perplexity(),
                score.scored,
                counted(score.tokens, "token"),
            ))?;
            output::note(format_args!(
                "[{:.1} tok/s | {} | {}]",
                figures.tokens_per_second(),
                paging(figures),
                counted(engine.plan().threads, "thread")
            ));
            return Ok(());
        }
        output::print_json(&Report {
            file: path,
            tokens: score.tokens,
            scored_tokens: score.scored,
            perplexity: score.perplexity(),
            nll_nats: score.nll,
            bits_per_byte: score.bits_per_byte(),
            tps: figures.tokens_per_second(),
            hit_rate: figures.routing.hit_rate(),
            routing: RoutingReport::new(figures),
            read_mib_per_token: figures.read_mib_per_token(),
            stall_ms_per_token: figures.stall_ms_per_token(),
            peak_memory_bytes: peak_memory().map(|bytes| bytes.0),
        })
    }
}

impl From<WindowingName> for Windowing {
    fn from(name: WindowingName) -> Self {
        match name {
            WindowingName::Whole => Self::Whole,
            WindowingName::SecondHalf => Self::SecondHalf,
        }
    }
}
