//! Opening what the user named.

use std::path::{Path, PathBuf};

use anyhow::Result;
use hotset_format::Checkpoint;
use hotset_outputs::Outputs;

use crate::{locate, output};

/// No output of this command may be a file of this model.
pub fn protect(outputs: &mut Outputs, path: &Path, checkpoint: &Checkpoint) {
    outputs.reads(path);
    checkpoint.files.iter().for_each(|file| outputs.reads(&file.path));
}

/// Opens a model of any format and prints what it warns of; errors name the file.
pub fn open(named: Option<&Path>) -> Result<(PathBuf, Checkpoint)> {
    let path = locate::model(named)?;
    let checkpoint = hotset_format::open(&path)?;
    for warning in &checkpoint.warnings {
        output::warn(format_args!("{}: {warning}", path.display()));
    }
    Ok((path, checkpoint))
}
