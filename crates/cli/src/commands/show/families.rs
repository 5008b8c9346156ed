//! `hotset show --families`: which experts of a layer go together, and whether that means anything.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use hotset_base::{Families, LayerId, limits};
use hotset_convert::router_affinity;
use hotset_convert::{Affinity, CoActivation, FAMILY_SIZE, Lift, cluster};
use hotset_format::Checkpoint;
use hotset_trace::TraceSource;
use rayon::prelude::*;
use serde::Serialize;

use crate::output::{self, Usage};
use crate::threads;

/// Tokens of a trace that are learned from, then as many that are judged by, in turn.
const STRETCH: usize = 64;
/// Layers that are shown if none are named: first, middle and last.
const SHOWN: usize = 3;

#[derive(Args)]
#[command(next_help_heading = "Families")]
pub struct FamiliesArgs {
    /// Print which experts of a layer have similar router rows instead
    #[arg(long)]
    pub families: bool,

    /// Judge families by what a trace chose together, and refine them by it
    #[arg(long, value_name = "FILE", requires = "families")]
    trace: Option<PathBuf>,

    /// A layer, or all [default: first, middle and last]
    #[arg(long, value_name = "N", requires = "families")]
    layer: Option<Shown>,

    /// Experts of a family, at most
    #[arg(long, value_name = "N", requires = "families", default_value_t = FAMILY_SIZE, value_parser = size)]
    family_size: usize,

    /// Share of the trace in refined families; the rest is that of router rows
    #[arg(long, value_name = "X", requires = "trace", default_value_t = 0.5, value_parser = share)]
    trace_share: f32,
}

#[derive(Clone, Copy)]
enum Shown {
    One(u16),
    All,
}

impl FromStr for Shown {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "all" => Ok(Self::All),
            Ok(layer) => Ok(Self::One(layer)),
            Err(_) => Err(format!("`{text}` is neither a layer nor `all`")),
        }
    }
}

fn size(text: &str) -> Result<usize, String> {
    let range = 1..=limits::MAX_EXPERTS;
    text.parse()
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| format!("`{text}` is out of range: 1 to {}", limits::MAX_EXPERTS))
}

fn share(text: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|x| (0.0..=1.0).contains(x));
    value.ok_or_else(|| format!("`{text}` is out of range: 0 to 1"))
}

/// What is printed of a layer.
#[derive(Serialize)]
struct Row {
    layer: u16,
    /// `[families][members]`
    families: Vec<Vec<u16>>,
    /// Mean cosine of pairs of router rows.
    cosine_within: f64,
    cosine_between: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Judged>,
}

/// By tokens that were not learned from.
#[derive(Serialize)]
struct Judged {
    tokens: u64,
    lift_within: f64,
    lift_between: f64,
    lift_ratio: Option<f64>,
    trace_share: f32,
    /// `[families][members]`
    refined: Vec<Vec<u16>>,
    refined_lift_ratio: Option<f64>,
}

/// Choices of one layer: those to learn from, those to judge by.
#[derive(Clone)]
struct Halves {
    learn: CoActivation,
    judge: CoActivation,
}

pub fn run(args: &FamiliesArgs, path: &Path, checkpoint: &Checkpoint, json: bool) -> Result<()> {
    let layers = args.layers(checkpoint.config.layers)?;
    let halves = args.trace.as_deref().map(|trace| load(trace, checkpoint)).transpose()?;
    let row = |&layer: &LayerId| -> Result<Row> {
        let halves = halves.as_ref().map(|halves| &halves[layer.index()]);
        let rows = router_affinity(checkpoint, layer)?;
        Ok(args.row(layer, &rows, &args.families_of(checkpoint, layer, &rows), halves))
    };
    threads::start_shared_pool()?;
    let rows: Vec<Row> = layers.par_iter().map(row).collect::<Result<_>>()?;
    if json {
        return rows.iter().try_for_each(output::print_json);
    }
    output::print_line(path.display())?;
    print(&rows)
}

impl FamiliesArgs {
    fn layers(&self, layers: usize) -> Result<Vec<LayerId>> {
        let all = 0..layers as u16;
        match self.layer {
            Some(Shown::One(layer)) if !all.contains(&layer) => {
                Err(Usage(format!("there is no layer {layer}: the model has {layers}, from 0")).into())
            }
            Some(Shown::One(layer)) => Ok(vec![LayerId(layer)]),
            None if layers > SHOWN => {
                Ok([0, layers / 2, layers - 1].map(|layer| LayerId(layer as u16)).into())
            }
            _ => Ok(all.map(LayerId).collect()),
        }
    }

    /// Those of the store, if it has some of that size, or else those of the router.
    fn families_of(&self, checkpoint: &Checkpoint, layer: LayerId, rows: &Affinity) -> Families {
        let packed = checkpoint.families.get(layer.index()).filter(|_| self.family_size == FAMILY_SIZE);
        packed.cloned().unwrap_or_else(|| cluster(rows, self.family_size))
    }

    fn row(&self, layer: LayerId, rows: &Affinity, families: &Families, halves: Option<&Halves>) -> Row {
        let (cosine_within, cosine_between) = mean_affinity(rows, families);
        Row {
            layer: layer.0,
            families: numbers(families),
            cosine_within,
            cosine_between,
            trace: halves.map(|halves| self.judge(rows, families, halves)),
        }
    }

    fn judge(&self, rows: &Affinity, families: &Families, halves: &Halves) -> Judged {
        let blend = rows.blend(&halves.learn.affinity(), self.trace_share);
        let refined = cluster(&blend, self.family_size);
        let lift: Lift = halves.judge.lift(families);
        Judged {
            tokens: halves.judge.tokens(),
            lift_within: lift.within,
            lift_between: lift.between,
            lift_ratio: lift.ratio(),
            trace_share: self.trace_share,
            refined: numbers(&refined),
            refined_lift_ratio: halves.judge.lift(&refined).ratio(),
        }
    }
}

/// `[layers]`: what a trace of this model chose together.
fn load(trace: &Path, checkpoint: &Checkpoint) -> Result<Vec<Halves>> {
    let mut source = TraceSource::open(trace)?;
    let (c, header) = (&checkpoint.config, source.header());
    if (header.layers, header.experts) != (c.layers, c.experts) {
        let (layers, experts) = (header.layers, header.experts);
        return Err(Usage(format!(
            "{} is of a model with {layers} layers of {experts} experts, this one has {} of {}",
            trace.display(),
            c.layers,
            c.experts
        ))
        .into());
    }
    let none = CoActivation::new(c.experts);
    let mut halves = vec![Halves { learn: none.clone(), judge: none }; c.layers];
    let mut token = 0;
    while let Some(pass) = source.next_pass()? {
        for visit in &pass.visits {
            let half = &mut halves[visit.layer.index()];
            for (i, layer_token) in visit.layer_tokens.iter().enumerate() {
                let learns = ((token + i) / STRETCH).is_multiple_of(2);
                let counts = if learns { &mut half.learn } else { &mut half.judge };
                counts.add(layer_token.chosen.iter().map(|choice| choice.expert));
            }
        }
        token += pass.rows.len();
    }
    if token <= STRETCH {
        return Err(Usage(format!(
            "{} has {token} tokens: families are learned from {STRETCH} and judged by the next",
            trace.display()
        ))
        .into());
    }
    Ok(halves)
}

fn numbers(families: &Families) -> Vec<Vec<u16>> {
    families.members().iter().map(|members| members.iter().map(|expert| expert.0).collect()).collect()
}

/// Over pairs of one family, and of two; 0 where there are none.
fn mean_affinity(rows: &Affinity, families: &Families) -> (f64, f64) {
    let mut sums = [(0.0, 0usize); 2];
    let of = families.labels();
    for a in 0..rows.experts() {
        for b in 0..a {
            let (sum, count) = &mut sums[usize::from(of[a] == of[b])];
            *sum += f64::from(rows.between(a, b));
            *count += 1;
        }
    }
    let [between, within] = sums.map(|(sum, count)| sum / count.max(1) as f64);
    (within, between)
}

fn print(rows: &[Row]) -> Result<()> {
    let mut head = "layer  families  cosine within  between".to_owned();
    if rows.iter().any(|row| row.trace.is_some()) {
        head += "  chosen together within  between  ratio  refined";
    }
    output::print_line(head)?;
    for row in rows {
        let mut line = format!(
            "{:>5}  {:>8}  {:>13.3}  {:>7.3}",
            row.layer,
            row.families.len(),
            row.cosine_within,
            row.cosine_between
        );
        if let Some(trace) = &row.trace {
            let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |x| format!("{x:.2}"));
            line += &format!(
                "  {:>22.2}  {:>7.2}  {:>5}  {:>7}",
                trace.lift_within,
                trace.lift_between,
                ratio(trace.lift_ratio),
                ratio(trace.refined_lift_ratio)
            );
        }
        output::print_line(line)?;
    }
    for row in rows {
        let refined = row.trace.as_ref().map(|trace| &trace.refined);
        let what = if refined.is_some() { "refined families" } else { "families" };
        output::print_line(format_args!("\nlayer {}, {what}", row.layer))?;
        for members in refined.unwrap_or(&row.families) {
            let members: Vec<String> = members.iter().map(u16::to_string).collect();
            output::print_line(format_args!("  {}", members.join(" ")))?;
        }
    }
    Ok(())
}
