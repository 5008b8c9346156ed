//! `hotset pack`: a checkpoint into an expert store.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use hotset_base::{Bytes, WeightType};
use hotset_convert::{PackOptions, Recipe, pack};
use hotset_engine::EngineOptions;
use hotset_format::Checkpoint;
use hotset_outputs::FileKind;
use serde::Serialize;

use crate::output::Usage;
use crate::{advice, claims, engine_args, model_args, output, threads};

/// Pack a model into an expert store: every expert one aligned, checksummed record
///
/// The target appears complete or not at all. A checkpoint with a missing, repeated, truncated or
/// mis-shaped tensor is refused by that tensor's name.
#[derive(Args)]
#[command(after_help = "EXAMPLES:
    hotset pack ./Qwen3-30B-A3B qwen3.hotset --quant q4_k_m
    hotset pack model.gguf model.hotset
    hotset pack ./model small.hotset --quant q8_0 --tensor-type ffn_gate_exps=q4_k")]
pub struct PackArgs {
    /// A Hugging Face directory, a GGUF file (any part of a split one) or another store
    #[arg(value_name = "SRC")]
    source: PathBuf,

    /// The store to write
    #[arg(value_name = "DST")]
    target: PathBuf,

    /// Weight types: keep, bf16, q8_0, q4_0, q4_k, q6_k or q4_k_m. Norms and routers are kept; rows
    /// too short for a type's blocks get the nearest type that fits
    #[arg(long, value_name = "RECIPE", default_value = "keep")]
    quant: Recipe,

    /// Another type for one kind of tensor, e.g. ffn_down_exps=q8_0; may be repeated
    #[arg(long = "tensor-type", value_name = "KIND=TYPE", value_parser = parse_override)]
    overrides: Vec<(String, WeightType)>,

    /// Memory that `run` uses with this store when the user names none
    #[arg(long, value_name = "SIZE")]
    suggest_memory: Option<Bytes>,

    /// Overwrite an existing target
    #[arg(long)]
    force: bool,

    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "crate::output::json_path")]
    store: &'a PathBuf,
    store_id: &'a str,
    recipe: String,
    file_bytes: Bytes,
    source_bytes: Bytes,
}

pub fn run(args: &PackArgs) -> Result<()> {
    let (source, checkpoint) = model_args::open(Some(&args.source))?;
    let mut outputs = claims::of_model(&source, &checkpoint, args.force.into())?;
    let target = outputs.claim_new(FileKind::Store, &args.target)?;
    let total = checkpoint.dense_bytes() + checkpoint.expert_bytes();
    let options = PackOptions {
        recipe: args.quant,
        overrides: args.overrides.clone(),
        suggested_memory: args.suggest_memory,
    };
    options.check(&checkpoint).map_err(|error| Usage(advice::told(&error)))?;
    if args.suggest_memory.is_some() {
        check_suggestion(&options.as_packed(&checkpoint))?;
    }
    threads::start_shared_pool()?;
    let bar = output::byte_bar("packing", total);
    let report = pack(&checkpoint, target, &options, &|done| bar.set_position(done.0))?;
    bar.finish_and_clear();
    if args.json {
        return output::print_json(&Report {
            store: &args.target,
            store_id: &report.store_id,
            recipe: args.quant.to_string(),
            file_bytes: report.file_bytes,
            source_bytes: report.source_bytes,
        });
    }
    output::print_line(format_args!(
        "{}: {} from {} of weights, recipe {}, store id {}",
        args.target.display(),
        report.file_bytes,
        report.source_bytes,
        args.quant,
        &report.store_id[..16],
    ))
}

/// A store whose own suggestion is too little would be refused by every run that names no memory.
fn check_suggestion(packed: &Checkpoint) -> Result<()> {
    let options = EngineOptions::default();
    match engine_args::prepare(packed, options) {
        Ok(_) => Ok(()),
        Err(error) => Err(Usage(format!("--suggest-memory: {}", output::told(&error))).into()),
    }
}

fn parse_override(text: &str) -> Result<(String, WeightType), String> {
    let (kind, ty) = text.split_once('=').ok_or("write KIND=TYPE, e.g. ffn_down_exps=q8_0")?;
    let ty = ty.parse().map_err(|error: hotset_base::ParseWeightTypeError| error.to_string())?;
    Ok((kind.to_owned(), ty))
}
