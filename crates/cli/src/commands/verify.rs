//! `hotset verify`: every byte of a store against its checksums.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use hotset_base::Bytes;
use hotset_format::store::verify;
use hotset_format::{Checkpoint, Origin};
use serde::Serialize;

use crate::output::Usage;
use crate::{model_args, output};

/// Check every byte of a store: weights against checksums, padding against zero
#[derive(Args)]
#[command(after_help = "EXAMPLES:
    hotset verify models/demo/demo.hotset
    hotset verify qwen3.hotset --json")]
pub struct VerifyArgs {
    /// The store
    #[arg(value_name = "STORE")]
    store: PathBuf,

    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "crate::output::json_path")]
    store: &'a PathBuf,
    store_id: &'a str,
    file_bytes: Bytes,
    tensors: usize,
    records: usize,
}

pub fn run(args: &VerifyArgs) -> Result<()> {
    let (_, checkpoint) = model_args::open(Some(&args.store))?;
    let Checkpoint { origin: Origin::Store, store_id: Some(store_id), .. } = &checkpoint else {
        let text = format!(
            "{} is not a packed store and carries no checksums; `hotset pack` makes one of it",
            args.store.display()
        );
        return Err(Usage(text).into());
    };
    let bar = output::byte_bar("verifying", checkpoint.files[0].bytes);
    let report = verify(&checkpoint, &mut |done| bar.set_position(done.0))?;
    bar.finish_and_clear();
    if args.json {
        return output::print_json(&Report {
            store: &args.store,
            store_id,
            file_bytes: report.file_bytes,
            tensors: report.tensors,
            records: report.records,
        });
    }
    output::print_line(format_args!(
        "{}: whole and unaltered: {}, {} tensors, {} records, store id {}",
        args.store.display(),
        report.file_bytes,
        report.tensors,
        report.records,
        &store_id[..16],
    ))
}
