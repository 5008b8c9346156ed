//! Finding the model that ships, from any working directory of a clone or of an installation.

use std::env;
use std::path::{Path, PathBuf};

use crate::output::Usage;

/// Where the shipped model lies, relative to a root.
const DEMO: &str = "models/demo/demo.hotset";

/// The model to use: the one named, else `HOTSET_MODEL`, else the shipped one.
pub fn model(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        if path.exists() {
            return Ok(path.to_owned());
        }
        let text = format!(
            "{}: no such file or directory; name a GGUF file, a Hugging Face directory or a packed store",
            path.display()
        );
        return Err(Usage(text).into());
    }
    shipped().ok_or_else(|| {
        let text = format!(
            "no model named, and the one that ships ({DEMO}) is not above the working directory or the program; name one with -m/--model"
        );
        Usage(text).into()
    })
}

/// The shipped model, looked for above the working directory, then above the program.
pub fn shipped() -> Option<PathBuf> {
    let program = env::current_exe().ok();
    let starts = [env::current_dir().ok(), program.as_deref().and_then(Path::parent).map(Path::to_owned)];
    starts
        .into_iter()
        .flatten()
        .find_map(|start| start.ancestors().map(|root| root.join(DEMO)).find(|candidate| candidate.is_file()))
}
