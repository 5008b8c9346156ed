//! `hotset trust`: what is in a trust ledger, and to and from JSON.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use hotset_base::limits::MAX_LEDGER_JSON;
use hotset_ledger::{Context, ContextId, ContextsShape, LedgerError, Record, Snapshot, load, save};
use hotset_outputs::FileKind;
use serde::{Deserialize, Serialize};

use crate::output::Usage;
use crate::{claims, input, output};

/// Look into trust ledgers of --trust-ledger, export, import and forget them
#[derive(Args)]
pub struct TrustCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Show(ShowArgs),
    Export(ExportArgs),
    Import(ImportArgs),
    Reset(ResetArgs),
}

/// Print the contexts of a ledger and what they use most
#[derive(Args)]
struct ShowArgs {
    /// A trust ledger
    #[arg(value_name = "FILE")]
    ledger: PathBuf,

    /// Layers to show [default: the first, the middle and the last]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    layers: Vec<usize>,

    /// Experts of each layer
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
}

/// Write a ledger as JSON
#[derive(Args)]
struct ExportArgs {
    /// A trust ledger
    #[arg(value_name = "FILE")]
    ledger: PathBuf,

    /// [default: standard output]
    #[arg(value_name = "JSON")]
    json: Option<PathBuf>,

    /// Replace a file of another kind
    #[arg(long)]
    force: bool,
}

/// Make a ledger of exported JSON; everything in it is checked
#[derive(Args)]
struct ImportArgs {
    /// What `hotset trust export` wrote
    #[arg(value_name = "JSON")]
    json: PathBuf,

    /// The ledger to make; must not exist
    #[arg(value_name = "FILE")]
    ledger: PathBuf,

    /// Replace what is there
    #[arg(long)]
    force: bool,
}

/// Forget what was learnt: removes the file
#[derive(Args)]
struct ResetArgs {
    /// A trust ledger, whole or damaged
    #[arg(value_name = "FILE")]
    ledger: PathBuf,
}

pub fn run(args: &TrustCommand) -> Result<()> {
    match &args.action {
        Action::Show(args) => show(args),
        Action::Export(args) => export(args),
        Action::Import(args) => import(args),
        Action::Reset(args) => reset(&args.ledger),
    }
}

/// The ledger that must be there.
fn open(path: &Path) -> Result<Snapshot> {
    load(path)?.ok_or_else(|| anyhow!("{}: there is no such file", path.display()))
}

fn show(args: &ShowArgs) -> Result<()> {
    let snapshot = open(&args.ledger)?;
    let ContextsShape { layers, experts } = snapshot.shape;
    let mut shown = args.layers.clone();
    if shown.is_empty() {
        shown.extend([0, layers / 2, layers - 1]);
        shown.dedup();
    }
    if let Some(layer) = shown.iter().find(|&&layer| layer >= layers) {
        return Err(Usage(format!("--layers {layer} is out of range: 0 to {}", layers - 1)).into());
    }
    output::print_line(format_args!(
        "{layers} layers of {experts} experts, {}, {} tokens, model {}",
        output::counted(snapshot.contexts.len(), "context"),
        snapshot.tokens,
        &hex(&snapshot.identity)[..16],
    ))?;
    output::print_line(table(&snapshot, &shown, args.top).trim_end())
}

/// One line for every context, and one for every layer shown of it.
fn table(snapshot: &Snapshot, layers: &[usize], top: usize) -> String {
    let mut text = String::new();
    if !snapshot.contexts.is_empty() {
        let _ = writeln!(text, "  context    tokens  windows  tokens ago  usual distance  share of picks");
    }
    let all = snapshot.shape.all();
    for (i, (context, records)) in
        snapshot.contexts.iter().zip(snapshot.records.chunks_exact(all)).enumerate()
    {
        let mark = if snapshot.present == Some(ContextId(i as u16)) { '*' } else { ' ' };
        let ago = snapshot.tokens.saturating_sub(context.last);
        let _ = writeln!(
            text,
            "{mark} {i:<7} {:>9} {:>8} {ago:>11} {:>15.3}",
            context.tokens, context.windows, context.usual
        );
        for &layer in layers {
            let row = &records[layer * snapshot.shape.experts..][..snapshot.shape.experts];
            let _ = writeln!(text, "{:57}  L{layer:<3} {}", "", heaviest(row, top));
        }
    }
    if snapshot.present.is_some() {
        text.push_str("* the context of the last text\n");
    }
    text
}

/// The experts of a layer that are picked most, with their share of its picks.
fn heaviest(row: &[Record], top: usize) -> String {
    let picks: f32 = row.iter().map(|record| record.uses).sum();
    let mut order: Vec<usize> = (0..row.len()).filter(|&expert| row[expert].uses > 0.0).collect();
    order.sort_by(|&a, &b| row[b].uses.total_cmp(&row[a].uses));
    let shown = order.iter().take(top);
    let shown = shown.map(|&expert| format!("E{expert} {:.1} %", 100.0 * row[expert].uses / picks));
    shown.collect::<Vec<_>>().join(", ")
}

/// A ledger in JSON. Numbers are as in docs/ledger-format.md.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    /// BLAKE3, in hexadecimal.
    identity: String,
    layers: usize,
    experts: usize,
    tokens: u64,
    present: Option<u16>,
    contexts: Vec<JsonContext>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonContext {
    tokens: u64,
    last: u64,
    windows: u32,
    usual: f32,
    /// Layer by layer, of each expert mass, uses, seen, mean, variance.
    records: Vec<[f32; 5]>,
}

impl Json {
    fn of(snapshot: &Snapshot) -> Self {
        let records = snapshot.records.chunks_exact(snapshot.shape.all());
        let contexts = snapshot.contexts.iter().zip(records).map(|(context, records)| JsonContext {
            tokens: context.tokens,
            last: context.last,
            windows: context.windows,
            usual: context.usual,
            records: records.iter().map(|r| [r.mass, r.uses, r.seen, r.mean, r.variance]).collect(),
        });
        Self {
            identity: hex(&snapshot.identity),
            layers: snapshot.shape.layers,
            experts: snapshot.shape.experts,
            tokens: snapshot.tokens,
            present: snapshot.present.map(|present| present.0),
            contexts: contexts.collect(),
        }
    }

    /// The ledger, if one can be so.
    fn into_snapshot(self) -> Result<Snapshot, String> {
        let shape = ContextsShape { layers: self.layers, experts: self.experts };
        let contexts = self.contexts.iter().map(|context| Context {
            tokens: context.tokens,
            last: context.last,
            windows: context.windows,
            usual: context.usual,
        });
        // Of every context by itself: two wrong lengths must not add up to a right one.
        let each = self.layers.saturating_mul(self.experts);
        if let Some(i) = self.contexts.iter().position(|context| context.records.len() != each) {
            let found = self.contexts[i].records.len();
            return Err(format!(
                "context {i} has {found} records, {} layers of {} need {each}",
                self.layers, self.experts
            ));
        }
        let records = self.contexts.iter().flat_map(|context| &context.records);
        let snapshot = Snapshot {
            identity: unhex(&self.identity)
                .ok_or_else(|| "its identity is not 64 hexadecimal digits".to_owned())?,
            shape,
            tokens: self.tokens,
            present: self.present.map(ContextId),
            contexts: contexts.collect(),
            records: records
                .map(|&[mass, uses, seen, mean, variance]| Record { mass, uses, seen, mean, variance })
                .collect(),
        };
        snapshot.check()?;
        Ok(snapshot)
    }
}

fn export(args: &ExportArgs) -> Result<()> {
    let Some(path) = &args.json else { return output::print_json(&Json::of(&open(&args.ledger)?)) };
    let file = claims::reading(&args.ledger, args.force.into())?.claim(FileKind::LedgerJson, path)?;
    let json = Json::of(&open(&args.ledger)?);
    file.write_at(&serde_json::to_vec(&json)?, 0)?;
    file.commit()?;
    output::print_line(format_args!(
        "{}: {}, {}",
        path.display(),
        output::counted(json.contexts.len(), "context"),
        output::counted(json.tokens as usize, "token")
    ))
}

fn import(args: &ImportArgs) -> Result<()> {
    let name = args.json.display();
    let file =
        claims::reading(&args.json, args.force.into())?.claim_new(FileKind::TrustLedger, &args.ledger)?;
    let text = input::bytes(&args.json, MAX_LEDGER_JSON)?;
    let json: Json = serde_json::from_slice(&text).map_err(|error| anyhow!("{name}: {error}"))?;
    let snapshot = json.into_snapshot().map_err(|error| anyhow!("{name}: {error}"))?;
    save(file, &snapshot)?;
    let (path, contexts) = (args.ledger.display(), output::counted(snapshot.contexts.len(), "context"));
    output::print_line(format_args!(
        "{path}: {contexts}, {}",
        output::counted(snapshot.tokens as usize, "token")
    ))
}

/// Removes a ledger, and nothing that is not one.
fn reset(path: &Path) -> Result<()> {
    let was = match load(path) {
        Ok(None) => {
            return output::print_line(format_args!("{}: there was nothing to forget", path.display()));
        }
        Ok(Some(snapshot)) => {
            format!(
                "{}, {}",
                output::counted(snapshot.contexts.len(), "context"),
                output::counted(snapshot.tokens as usize, "token")
            )
        }
        Err(LedgerError::Version { found, .. }) => format!("a ledger of version {found}"),
        // If it is one: what is not is not removed.
        Err(_) => "a damaged ledger".to_owned(),
    };
    hotset_outputs::remove(FileKind::TrustLedger, path)?;
    output::print_line(format_args!("{}: forgotten: {was}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let bytes = digits?.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect::<Vec<_>>();
    (text.len() == 64).then_some(bytes)?.try_into().ok()
}
