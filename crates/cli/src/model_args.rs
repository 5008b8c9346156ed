//! Opening what the user named.

use std::path::{Path, PathBuf};

use anyhow::Result;
use hotset_format::Checkpoint;

use crate::locate;

/// Opens a model of any format; errors name the file.
pub fn open(named: Option<&Path>) -> Result<(PathBuf, Checkpoint)> {
    let path = locate::model(named)?;
    let checkpoint = hotset_format::open(&path)?;
    Ok((path, checkpoint))
}
