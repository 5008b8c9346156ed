//! `hotset synth --check`: a model's routing beside what is known of the real one's.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use hotset_base::limits::MAX_PROMPT;
use hotset_convert::synth::{Figure, RoutingLog, TOLERANCE};
use hotset_outputs::{Force, Outputs};
use serde::Serialize;

use super::{SynthArgs, planted};
use crate::output::Usage;
use crate::{input, model_args, output};

/// Fewer tokens than this are all warm-up.
const LEAST_TOKENS: usize = 64;

#[derive(Serialize)]
struct Row<'a> {
    figure: &'a str,
    measured: f64,
    target: Option<f64>,
    off: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "crate::output::json_path")]
    model: &'a Path,
    tokens: usize,
    tolerance: f64,
    figures: Vec<Row<'a>>,
}

pub fn run(args: &SynthArgs, model: &Path) -> Result<()> {
    if args.tokens < LEAST_TOKENS {
        return Err(Usage(format!("--tokens {} is too few: take {LEAST_TOKENS} or more", args.tokens)).into());
    }
    let (path, checkpoint) = model_args::open(Some(model))?;
    let mut outputs = Outputs::new(Force::NotOffered);
    model_args::protect(&mut outputs, &path, &checkpoint);
    args.text.iter().for_each(|path| outputs.reads(path));
    let config = checkpoint.config.clone();
    let words = match args.text {
        None => Some(planted(&config, model)?.tokens(args.range())),
        Some(_) => None,
    };
    let mut options = args.engine.options(&mut outputs)?;
    options.context = options.context.or(Some(args.tokens));
    let mut engine = args.engine.open(&checkpoint, options, args.json)?;
    let tokens = match (words, &args.text) {
        (Some(words), _) => words,
        (None, Some(path)) => {
            let text = input::text(path, MAX_PROMPT)?;
            let mut tokens = engine.tokenizer().encode(&text, false)?;
            tokens.truncate(args.tokens);
            tokens
        }
        (None, None) => Vec::new(),
    };
    if tokens.len() < LEAST_TOKENS {
        bail!(
            "the text has {}, too few to measure: take {LEAST_TOKENS} or more",
            output::counted(tokens.len(), "token")
        );
    }
    let log = Arc::new(Mutex::new(RoutingLog::new(config.layers, config.experts, config.top_k)));
    let recorded = Arc::clone(&log);
    engine.probe_routers(Box::new(move |layer, scores, next| {
        recorded.lock().unwrap_or_else(PoisonError::into_inner).record(layer, scores, next);
    }));
    let mut session = engine.session()?;
    let bar = output::count_bar("tokens", tokens.len() as u64);
    engine.read(&mut session, &tokens, &mut |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    report(args, model, tokens.len(), &log.figures())
}

fn report(args: &SynthArgs, model: &Path, tokens: usize, figures: &[Figure]) -> Result<()> {
    if args.json {
        let figures = figures.iter().map(|figure| Row {
            figure: &figure.name,
            measured: figure.measured,
            target: figure.target,
            off: figure.is_off(),
        });
        let figures = figures.collect();
        output::print_json(&Report { model, tokens, tolerance: TOLERANCE, figures })?;
    } else {
        output::print_line(format_args!(
            "routing of {} on {}, per cent",
            model.display(),
            output::counted(tokens, "token")
        ))?;
        output::print_line(format_args!("{:48} {:>8} {:>7} {:>6}", "", "measured", "target", "diff"))?;
        figures.iter().try_for_each(|figure| output::print_line(line(figure)))?;
    }
    let off = figures.iter().filter(|figure| figure.is_off()).count();
    if off > 0 {
        bail!("{off} figures are off by more than {TOLERANCE} points");
    }
    Ok(())
}

fn line(figure: &Figure) -> String {
    let known = figure.target.map_or_else(
        || format!("{:>7} {:>6}", "-", "-"),
        |target| format!("{target:7.1} {:+6.1}", figure.measured - target),
    );
    let mark = if figure.is_off() { "  off" } else { "" };
    format!("{:48} {:8.1} {known}{mark}", figure.name, figure.measured)
}
