//! `hotset perplexity`: how well a model predicts texts.

mod price;

use std::fs::File;
use std::io::Seek;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use hotset_base::Bytes;
use hotset_base::figures::TOKENS_PER_SECOND;
use hotset_engine::{Engine, EngineError, Perplexity, Price, Scorer, Session, Windowing, peak_memory, price};
use hotset_format::Checkpoint;
use hotset_outputs::Force;
use hotset_text::{TextReader, Tokenizer};
use serde::Serialize;

use crate::engine_args::EngineArgs;
use crate::figures::{Fields, OF_A_RUN, paging, told};
use crate::output::{Forwarded, Usage, counted};
use crate::trace_args::TraceArgs;
use crate::{claims, ending, model_args, output, prompt, stop};

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

    /// Score only the first N windows of each text; -1 for all
    #[arg(long, value_name = "N", default_value_t = -1, hide_default_value = true, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(-1..))]
    chunks: i64,

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
    #[serde(flatten)]
    figures: Fields,
    peak_memory_bytes: Option<u64>,
}

pub fn run(args: &PerplexityArgs) -> Result<()> {
    // Texts first: a misspelt name should not cost the loading of a model.
    let texts = args.files.iter().map(|path| Text::open(path)).collect::<Result<Vec<Text>>>()?;
    let (path, checkpoint) = model_args::open(Some(&args.model))?;
    let mut outputs = claims::of_model(&path, &checkpoint, Force::NotOffered)?;
    args.files.iter().for_each(|path| outputs.reads(path));
    let trace = args.trace.claim(&mut outputs)?;
    let mut options = args.engine.options(&mut outputs)?;
    if args.compare_native {
        if options.router.name() == "native" {
            return Err(Usage("--compare-native compares a lossy --router with native".to_owned()).into());
        }
        options.compared_tokens = args.longest_text(&texts, &checkpoint, options.context)?;
    }
    options.context = options.context.or(Some(WINDOW));
    let mut engine = args.engine.open(&checkpoint, options, args.json)?;
    TraceArgs::begin(&mut engine, trace)?;
    engine.end_when(stop::gently().cancel());
    let scored = args.score_all(&mut engine, &texts);
    ending::end(&mut engine, (&args.trace, &args.engine.ledger), args.json, scored)
}

fn is_too_short(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(EngineError::TextTooShort(_))))
}

impl PerplexityArgs {
    fn score_all(&self, engine: &mut Engine, texts: &[Text]) -> Result<()> {
        let mut session = engine.session()?;
        let mut prices = Vec::new();
        let mut unscored = false;
        for text in texts {
            let scored = match self.compare_native {
                true => self.compare(engine, &mut session, text).map(|found| prices.push(found)),
                false => self
                    .score(engine, &mut session, text)
                    .and_then(|score| self.report(engine, &text.path, &score)),
            };
            match scored {
                // Said and left out: the others can be scored all the same.
                Err(error) if is_too_short(&error) => {
                    output::complain(&error);
                    unscored = true;
                }
                result => result?,
            }
        }
        if prices.len() > 1 {
            price::Summary::of(&prices, engine.router().name()).print(self.json)?;
        }
        if unscored { Err(Forwarded(1).into()) } else { Ok(()) }
    }

    /// Tokens of a text that count, with windows of so many.
    fn limit(&self, window: usize) -> usize {
        usize::try_from(self.chunks).map_or(usize::MAX, |chunks| chunks.saturating_mul(window))
    }

    /// Tokens of the longest text, as far as it counts: what is kept of them is part of the plan.
    fn longest_text(&self, texts: &[Text], checkpoint: &Checkpoint, context: Option<usize>) -> Result<usize> {
        let tokenizer = Tokenizer::new(&checkpoint.tokenizer)?;
        let window = match context {
            Some(0) => checkpoint.config.context,
            asked => asked.unwrap_or(WINDOW),
        };
        let mut longest = 0;
        for text in texts {
            let mut length = 0;
            text.each_token(&tokenizer, self.limit(window), &mut |_| {
                length += 1;
                Ok(())
            })?;
            text.rewind()?;
            longest = longest.max(length);
        }
        Ok(longest)
    }

    fn compare(&self, engine: &mut Engine, session: &mut Session, text: &Text) -> Result<Price> {
        let (window, planned) = (session.context(), engine.compared_tokens());
        let mut tokens = Vec::with_capacity(planned);
        // Not more than was counted for the plan, should the file have grown.
        let limit = self.limit(window).min(planned);
        text.each_token(&engine.shared_tokenizer(), limit, &mut |token| {
            tokens.push(token);
            Ok(())
        })?;
        let bar = output::count_bar("tokens", 2 * tokens.len() as u64);
        let mut progress = |done: usize| bar.set_position(done as u64);
        let windows = (window, self.windowing.into());
        let found = price(engine, session, &tokens, windows, &mut progress).with_context(|| text.name())?;
        bar.finish_and_clear();
        price::report(&text.path, engine.router().name(), &found, self.json)?;
        Ok(found)
    }

    fn score(&self, engine: &mut Engine, session: &mut Session, text: &Text) -> Result<Perplexity> {
        let length = text.file.metadata().map_or(0, |about| about.len());
        let bar = output::byte_bar("text", Bytes(length));
        let mut progress = |done: usize| bar.set_position(done as u64);
        let (window, tokenizer) = (session.context(), engine.shared_tokenizer());
        let mut scorer = Scorer::begin(engine, session, (window, self.windowing.into()), &mut progress);
        let limit = self.limit(window);
        let score = text.each_token(&tokenizer, limit, &mut |token| Ok(scorer.push(token)?));
        let score = score.and_then(|()| scorer.finish().with_context(|| text.name()));
        bar.finish_and_clear();
        score
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
                "[{} tok/s | {} | {}]",
                told(figures, &TOKENS_PER_SECOND, 1),
                paging(figures).unwrap_or_default(),
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
            figures: Fields::of(figures, &OF_A_RUN),
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

/// A text that is scored, open from before the model is loaded.
struct Text {
    path: PathBuf,
    file: File,
}

impl Text {
    fn open(path: &Path) -> Result<Self> {
        let file = prompt::open(path)?;
        let about = file.metadata().with_context(|| format!("cannot open {}", path.display()))?;
        if about.is_file() && about.len() == 0 {
            return Err(Usage(format!("{} is empty: there is nothing to score", path.display())).into());
        }
        let text = Self { path: path.to_owned(), file };
        if about.is_file() {
            // What is no text shows at its start.
            let first = TextReader::new(&text.file).next_piece().map(|_| ());
            first.map_err(|error| prompt::named(&text.name(), error))?;
            (&text.file).rewind().with_context(|| format!("cannot read {}", text.name()))?;
        }
        Ok(text)
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Gives the first `limit` tokens to `take`, as they are read.
    fn each_token(
        &self,
        tokenizer: &Tokenizer,
        limit: usize,
        take: &mut dyn FnMut(u32) -> Result<()>,
    ) -> Result<()> {
        let (mut left, mut result) = (limit, Ok(()));
        let mut ids = |id| {
            if left > 0 {
                left -= 1;
                result = take(id);
            }
            if left == 0 || result.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let read = TextReader::new(&self.file).encode(tokenizer, true, &mut ids);
        let _ = read.map_err(|error| prompt::named(&self.name(), error))?;
        result.with_context(|| self.name())
    }

    /// Back to the start, to read it once more.
    fn rewind(&self) -> Result<()> {
        let refused = || format!("--compare-native reads a text twice, which {} does not allow", self.name());
        (&self.file).rewind().with_context(refused)
    }
}
