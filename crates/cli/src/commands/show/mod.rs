//! `hotset show`: what a model is.

mod families;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use hotset_base::{Bytes, WeightType};
use hotset_format::{Checkpoint, ModelConfig, Origin, RopeScaling, TensorSlice};
use serde::Serialize;

use self::families::FamiliesArgs;
use crate::{model_args, output};

/// Print what a model is: architecture, sizes, bytes per expert, weight types
#[derive(Args)]
#[command(after_help = "EXAMPLES:
    hotset show                      the model that ships
    hotset show model.gguf --json
    hotset show --families --trace t.trace --layer all")]
pub struct ShowArgs {
    /// A GGUF file, a Hugging Face directory or a packed store [default: the model that ships]
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,

    /// One JSON object on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    families: FamiliesArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "crate::output::json_path")]
    model: &'a PathBuf,
    format: &'static str,
    architecture: &'static str,
    #[serde(flatten)]
    config: &'a ModelConfig,
    tied_embedding: bool,
    files: usize,
    file_bytes: Bytes,
    parameters: u64,
    active_parameters: u64,
    dense_bytes: Bytes,
    expert_bytes: Bytes,
    bytes_per_expert_min: Bytes,
    bytes_per_expert_max: Bytes,
    expert_bytes_per_token: Bytes,
    kv_bytes_per_token: Bytes,
    types: BTreeMap<&'static str, Bytes>,
    chat_template: bool,
    store_id: Option<&'a str>,
    suggested_memory_bytes: Option<Bytes>,
}

pub fn run(args: &ShowArgs) -> Result<()> {
    let (path, checkpoint) = model_args::open(args.model.as_deref())?;
    if args.families.families {
        return families::run(&args.families, &path, &checkpoint, args.json);
    }
    if args.json {
        return output::print_json(&Report::new(&path, &checkpoint));
    }
    output::print_line(format_args!("{}\n{}", path.display(), describe(&checkpoint)))
}

impl<'a> Report<'a> {
    fn new(model: &'a PathBuf, checkpoint: &'a Checkpoint) -> Self {
        let sizes = checkpoint.experts.iter().map(|expert| expert.bytes());
        let c = &checkpoint.config;
        Self {
            model,
            format: format_name(checkpoint.origin),
            architecture: checkpoint.architecture.name(),
            config: c,
            tied_embedding: checkpoint.dense.head.is_none(),
            files: checkpoint.files.len(),
            file_bytes: checkpoint.files.iter().map(|file| file.bytes).sum(),
            parameters: parameters(checkpoint, c.experts),
            active_parameters: parameters(checkpoint, c.top_k),
            dense_bytes: checkpoint.dense_bytes(),
            expert_bytes: checkpoint.expert_bytes(),
            bytes_per_expert_min: sizes.clone().min().unwrap_or_default(),
            bytes_per_expert_max: sizes.max().unwrap_or_default(),
            expert_bytes_per_token: expert_bytes_per_token(checkpoint),
            kv_bytes_per_token: Bytes((4 * c.layers * c.kv_heads * c.head_dim) as u64),
            types: types(checkpoint),
            chat_template: checkpoint.chat_template.is_some(),
            store_id: checkpoint.store_id.as_deref(),
            suggested_memory_bytes: checkpoint.suggested_memory,
        }
    }
}

/// The same for people.
pub fn describe(checkpoint: &Checkpoint) -> String {
    let c = &checkpoint.config;
    let placeholder = PathBuf::new();
    let r = Report::new(&placeholder, checkpoint);
    let mut out = String::new();
    let types: Vec<String> = r.types.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
    let rows = [
        ("name", c.name.clone()),
        ("format", format!("{}, {} in {} file(s)", r.format, r.file_bytes, r.files)),
        ("architecture", format!("{}, {} layers, hidden {}", r.architecture, c.layers, c.hidden)),
        (
            "attention",
            format!(
                "{} heads of {}, {} key/value heads, rope base {}{}",
                c.heads,
                c.head_dim,
                c.kv_heads,
                c.rope_theta,
                c.rope_scaling.map(scaled).unwrap_or_default()
            ),
        ),
        ("experts", format!("{} per layer, {} per token, width {}", c.experts, c.top_k, c.expert_width)),
        (
            "vocabulary",
            format!("{} tokens, {} head", c.vocab, if r.tied_embedding { "tied" } else { "untied" }),
        ),
        ("context", format!("{} tokens, {} of f16 KV cache each", c.context, r.kv_bytes_per_token)),
        (
            "parameters",
            format!(
                "{:.1} M, {:.1} M per token",
                r.parameters as f64 / 1e6,
                r.active_parameters as f64 / 1e6
            ),
        ),
        ("dense weights", r.dense_bytes.to_string()),
        (
            "expert weights",
            format!(
                "{}: {} x {} to {}, {} per token",
                r.expert_bytes,
                checkpoint.experts.len(),
                r.bytes_per_expert_min,
                r.bytes_per_expert_max,
                r.expert_bytes_per_token
            ),
        ),
        ("weight types", types.join(", ")),
        ("chat template", if r.chat_template { "its own" } else { "none (ChatML is used)" }.to_owned()),
    ];
    for (name, value) in rows {
        let _ = writeln!(out, "  {name:<15} {value}");
    }
    if let Some(id) = r.store_id {
        let _ = writeln!(out, "  {:<15} {id}", "store id");
    }
    if let Some(memory) = r.suggested_memory_bytes {
        let _ = writeln!(out, "  {:<15} {memory}", "memory");
    }
    out.trim_end().to_owned()
}

/// `, YaRN 4 times 32768 positions, amplitude 1.139`
fn scaled(scaling: RopeScaling) -> String {
    let RopeScaling { factor, attention_factor, yarn } = scaling;
    let amplitude = match attention_factor {
        1.0 => String::new(),
        _ => format!(", amplitude {attention_factor:.3}"),
    };
    match yarn {
        Some(yarn) => format!(", YaRN {factor} times {} positions{amplitude}", yarn.original_context),
        None => format!(", positions divided by {factor}{amplitude}"),
    }
}

fn format_name(origin: Origin) -> &'static str {
    match origin {
        Origin::HuggingFace => "Hugging Face",
        Origin::Gguf => "GGUF",
        Origin::Store => "packed store",
    }
}

/// Weights of all dense tensors and of `experts` experts of every layer.
fn parameters(checkpoint: &Checkpoint, experts: usize) -> u64 {
    let count = |tensor: &TensorSlice| (tensor.rows * tensor.cols) as u64;
    let dense: u64 = checkpoint.dense.named().iter().map(|(_, tensor)| count(tensor)).sum();
    let c = &checkpoint.config;
    dense + (3 * c.hidden * c.expert_width * c.layers * experts) as u64
}

fn expert_bytes_per_token(checkpoint: &Checkpoint) -> Bytes {
    let c = &checkpoint.config;
    checkpoint.experts.chunks(c.experts).map(|layer| Bytes(layer[0].bytes().0 * c.top_k as u64)).sum()
}

/// Bytes of weights by type.
fn types(checkpoint: &Checkpoint) -> BTreeMap<&'static str, Bytes> {
    let mut all: BTreeMap<&'static str, Bytes> = BTreeMap::new();
    let mut add = |ty: WeightType, bytes| *all.entry(ty.name()).or_default() += bytes;
    checkpoint.dense.named().iter().for_each(|(_, tensor)| add(tensor.ty, tensor.extent.bytes));
    let parts = checkpoint.experts.iter().flat_map(|expert| expert.in_order());
    parts.for_each(|part| add(part.ty, part.extent.bytes));
    all
}
