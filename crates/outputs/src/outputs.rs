//! What one command may write: asked before it begins to work.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, fstat};

use crate::existing::{self, FileId, Replace};
use crate::target::{self, Target};
use crate::{FileKind, OutputError, PartialFile};

/// Files of a directory that is read as a model; what is beyond is not protected by its name.
const MAX_INPUTS: usize = 1 << 16;

/// `--force` of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Force {
    /// The command has no such flag.
    NotOffered,
    /// It was not given.
    No,
    /// It was given.
    Yes,
}

impl From<bool> for Force {
    fn from(given: bool) -> Self {
        if given { Self::Yes } else { Self::No }
    }
}

/// The inputs and outputs of one command. No output may be an input, nor two outputs one file.
pub struct Outputs {
    force: Force,
    inputs: Vec<FileId>,
    claimed: Vec<Arc<Target>>,
}

impl Outputs {
    /// Of a command that reads nothing so far; what standard input comes from and standard output goes to
    /// is protected already.
    pub fn new(force: Force) -> Self {
        let streams = [fstat(io::stdin()), fstat(io::stdout()), fstat(io::stderr())];
        let files = streams.into_iter().flatten();
        let files = files.filter(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
        let inputs = files.map(|stat| FileId::from(&stat)).collect();
        Self { force, inputs, claimed: Vec::new() }
    }

    /// The command reads this file, or every file of this directory. What is not there needs no protection.
    pub fn reads(&mut self, path: &Path) {
        let Ok(metadata) = fs::metadata(path) else { return };
        if metadata.is_dir() {
            let files = fs::read_dir(path).into_iter().flatten().flatten().take(MAX_INPUTS);
            files.filter_map(|entry| fs::metadata(entry.path()).ok()).for_each(|file| self.add(&file));
        }
        self.add(&metadata);
    }

    fn add(&mut self, metadata: &Metadata) {
        if metadata.is_file() {
            self.inputs.push(FileId::of(metadata));
        }
    }

    /// A file that will be new, or replace one of the same kind. It is begun, locked and removed again if
    /// it is not finished.
    ///
    /// # Errors
    /// [`OutputError::Refused`] if what is there must stay; others if the system does not let it be made.
    pub fn claim(&mut self, kind: FileKind, path: &Path) -> Result<PartialFile, OutputError> {
        self.claim_for(kind, path, Replace::SameKind)
    }

    /// A file that will be new: what is there is replaced with `--force` only.
    ///
    /// # Errors
    /// As [`Outputs::claim`].
    pub fn claim_new(&mut self, kind: FileKind, path: &Path) -> Result<PartialFile, OutputError> {
        self.claim_for(kind, path, Replace::Nothing)
    }

    /// A file that is written again and again, each time whole. That it can be made is tried now.
    ///
    /// # Errors
    /// As [`Outputs::claim`].
    pub fn claim_repeated(&mut self, kind: FileKind, path: &Path) -> Result<Arc<Target>, OutputError> {
        let partial = self.claim(kind, path)?;
        Ok(Arc::clone(partial.target()))
    }

    fn claim_for(
        &mut self,
        kind: FileKind,
        path: &Path,
        otherwise: Replace,
    ) -> Result<PartialFile, OutputError> {
        let replace = if self.force == Force::Yes { Replace::AnyFile } else { otherwise };
        let target = Arc::new(Target::new(kind, path, replace, self.force == Force::No)?);
        for name in [target.at(), target.partial()] {
            let found = existing::look(name).map_err(OutputError::io("look at", path))?;
            self.keep_apart(name, path, found.as_ref())?;
        }
        target.judge()?;
        let partial = target.create()?;
        self.claimed.push(target);
        Ok(partial)
    }

    /// Refuses what the command reads, or writes already.
    fn keep_apart(&self, name: &Path, shown: &Path, found: Option<&Metadata>) -> Result<(), OutputError> {
        if found.is_some_and(|found| self.inputs.contains(&FileId::of(found))) {
            let it = if name == shown { "it".to_owned() } else { format!("{}, which", name.display()) };
            let what = format!("cannot be written: {it} is read by this command; choose another name");
            return Err(OutputError::refused(shown, what));
        }
        let same =
            |other: &Target| [other.at(), other.partial()].into_iter().any(|at| target::same(at, name));
        if self.claimed.iter().any(|other| same(other)) {
            return Err(OutputError::refused(shown, "is named for two outputs; give each a file of its own"));
        }
        Ok(())
    }
}

/// Removes a file of this kind, or, if it is a link, what it names. Nothing else is removed.
///
/// # Errors
/// [`OutputError::Refused`] if it is of another kind.
pub fn remove(kind: FileKind, path: &Path) -> Result<(), OutputError> {
    let target = Target::new(kind, path, Replace::SameKind, false)?;
    match target.judge()? {
        Some(_) => fs::remove_file(target.at()).map_err(OutputError::io("remove", path)),
        None => Err(OutputError::io("remove", path)(io::ErrorKind::NotFound.into())),
    }
}
