//! What a command may write, given what it reads. From then on a signal leaves nothing unfinished.

use std::path::Path;

use anyhow::Result;
use hotset_format::Checkpoint;
use hotset_outputs::{Force, Outputs};

use crate::{model_args, stop};

/// Of a command that reads one file.
pub fn reading(source: &Path, force: Force) -> Result<Outputs> {
    stop::watch()?;
    let mut outputs = Outputs::new(force);
    outputs.reads(source);
    Ok(outputs)
}

/// Of a command that reads a model.
pub fn of_model(path: &Path, checkpoint: &Checkpoint, force: Force) -> Result<Outputs> {
    let mut outputs = reading(path, force)?;
    model_args::protect(&mut outputs, path, checkpoint);
    Ok(outputs)
}
