//! `hotset replay`: what caches would have done with a recorded run.

mod picture;
mod report;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};
use hotset_base::limits::MAX_EXPERTS;
use hotset_engine::{DEFAULT_HALF_LIFE, RouterOptions};
use hotset_outputs::{FileKind, PartialFile};
use hotset_replay::{Demand, Outcome, Part, ReplayError, ReplayPolicy, RouterMaker, Setting, replay_all};
use hotset_trace::TraceSource;

use self::report::Row;
use crate::commands::trace::note_ending;
use crate::output::Usage;
use crate::router_args::RouterArgs;
use crate::{advice, claims, output, threads};

/// Replay a trace through caches of any size, with the eviction and routing policies of the engine
///
/// Every cache is empty at first. A pick is hot if its expert is there when its layer-token is routed;
/// what misses is read and admitted. Prompts, when replayed, go token by token.
#[derive(Args)]
#[command(after_help = "EXAMPLES:
    hotset replay t.trace
    hotset replay t.trace --policy lru,lfu,belady-layer --experts-per-layer 8,16,32 --warm 32 --json
    hotset replay t.trace --phase all --svg curves.svg

Caches: lru, lfu, window-lfu, lfru, least-stale and belady-layer have H slots in every layer; global-lru,
global-lfu, global-window-lfu (what the engine does unless told otherwise), global-lfru, global-least-stale
and belady share H x layers slots. belady knows the future and bounds what any cache can do that does not
change the demand (docs/replay.md).")]
pub struct ReplayArgs {
    /// A trace of --trace, or a routing trace in CSV
    #[arg(value_name = "TRACE")]
    trace: PathBuf,

    /// Caches, with commas between them
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        default_value = "global-lru,lru,lfu,belady-layer,belady"
    )]
    policy: Vec<ReplayPolicy>,

    /// Slots per layer
    #[arg(long, value_name = "H,...", value_delimiter = ',', default_value = "4,6,8,12,16,24,32,48", value_parser = slots)]
    experts_per_layer: Vec<usize>,

    /// Replay, but do not count, this many tokens first
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    warm: usize,

    /// Which tokens
    #[arg(long, value_enum, default_value_t = PhaseName::Decode)]
    phase: PhaseName,

    /// Without --router what was chosen is chosen again; with it a policy chooses anew from the recorded
    /// scores
    #[command(flatten)]
    router: RouterArgs,

    /// Visits to its layer after which a use counts half in lfu and window-lfu; 0 counts all uses alike
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HALF_LIFE)]
    evict_half_life: u32,

    /// One JSON object for every cache and size on standard output
    #[arg(long)]
    json: bool,

    /// Write the table as comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Draw the hit rates
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Replace files of another kind with --csv and --svg
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PhaseName {
    /// Tokens the model decoded
    Decode,
    /// Prompts and scored texts too
    All,
}

pub fn run(args: &ReplayArgs) -> Result<()> {
    let files = args.claim();
    // Of two mistakes the one about the trace is told first.
    let mut source = TraceSource::open(&args.trace)?;
    let files = files?;
    let part = if args.phase == PhaseName::All { Part::All } else { Part::Decoded };
    let router = args.router.asked()?;
    if let Some(lack) = router.and_then(lacking) {
        return Err(Usage(lack.to_owned()).into());
    }
    let demand = Demand::load(&mut source, part, router.is_some()).map_err(refusal)?;
    note_ending(&source);
    let settings = args.settings();
    let make = router.map(|options| move |shape| options.build(shape, &[]));
    let make: Option<RouterMaker<'_>> = make.as_ref().map(|make| make as RouterMaker<'_>);
    threads::start_shared_pool()?;
    let start = Instant::now();
    let outcomes = replay_all(&demand, &settings, args.warm, make).map_err(refusal)?;
    let speed = replayed(&demand, settings.len()) / start.elapsed().as_secs_f64() / 1e3;
    args.print(&demand, &outcomes, router.map_or("recorded", RouterOptions::name), speed, files)
}

/// The files of `--csv` and `--svg`.
type Files = (Option<PartialFile>, Option<PartialFile>);

/// What the policy goes by that a trace does not have.
fn lacking(router: RouterOptions) -> Option<&'static str> {
    if router.wants_contributions() {
        Some("--router-trust weighs what experts were measured to do, which a trace does not have")
    } else if router.wants_families() {
        Some("--router-family-share needs families, which a trace does not have")
    } else {
        None
    }
}

/// Layer-tokens of all settings together.
fn replayed(demand: &Demand, settings: usize) -> f64 {
    (demand.tokens() * demand.header().layers * settings) as f64
}

/// What the user could have known is wrong usage.
fn refusal(error: ReplayError) -> anyhow::Error {
    match error {
        ReplayError::Trace(error) => error.into(),
        ReplayError::Router(error) => error.into(),
        ReplayError::AllWarm { warm, tokens } => {
            Usage(format!("--warm {warm} leaves nothing to count: {tokens} tokens are replayed")).into()
        }
        wrong => Usage(advice::told(&wrong)).into(),
    }
}

impl ReplayArgs {
    fn settings(&self) -> Vec<Setting> {
        let half_life = Some(self.evict_half_life).filter(|&visits| visits > 0);
        let policies = self.policy.iter().map(|policy| policy.with_half_life(half_life));
        let policies = each_once(policies);
        let sizes = |policy| {
            let sizes = self.sizes().into_iter();
            sizes.map(move |experts_per_layer| Setting { policy, experts_per_layer })
        };
        policies.into_iter().flat_map(sizes).collect()
    }

    fn sizes(&self) -> Vec<usize> {
        each_once(self.experts_per_layer.iter().copied())
    }

    /// Tries the files before anything is replayed.
    fn claim(&self) -> Result<Files> {
        let mut outputs = claims::reading(&self.trace, self.force.into())?;
        self.router.router_config.iter().for_each(|path| outputs.reads(path));
        let csv = self.csv.as_ref().map(|path| outputs.claim(FileKind::ReplayCsv, path)).transpose()?;
        let svg = self.svg.as_ref().map(|path| outputs.claim(FileKind::ReplaySvg, path)).transpose()?;
        Ok((csv, svg))
    }

    fn print(
        &self,
        demand: &Demand,
        outcomes: &[Outcome],
        router: &'static str,
        speed: f64,
        (csv, svg): Files,
    ) -> Result<()> {
        let rows: Vec<Row> = outcomes.iter().map(|outcome| Row::new(outcome, router)).collect();
        if let Some(file) = &csv {
            file.write_at(report::csv(&rows)?.as_bytes(), 0)?;
        }
        if let Some(file) = &svg {
            file.write_at(picture::curves(outcomes, &demand.header().model).as_bytes(), 0)?;
        }
        // Both or none: what can fail has been done.
        csv.into_iter().chain(svg).try_for_each(PartialFile::commit)?;
        if self.json {
            return rows.iter().try_for_each(output::print_json);
        }
        output::print_line(report::table(outcomes, &self.sizes()))?;
        output::note(format_args!(
            "[{} of {}, {} counted | {} | {speed:.0} layer-tokens per millisecond]",
            output::counted(demand.tokens(), "token"),
            demand.header().model,
            demand.tokens() - self.warm,
            output::counted(outcomes.len(), "cache"),
        ));
        Ok(())
    }
}

/// What was named twice is one.
fn each_once<T: PartialEq>(named: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    named.for_each(|item| {
        if !once.contains(&item) {
            once.push(item);
        }
    });
    once
}

fn slots(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=MAX_EXPERTS).contains(&n) => Ok(n),
        _ => Err(format!("`{text}` is out of range: 1 to {MAX_EXPERTS}")),
    }
}
