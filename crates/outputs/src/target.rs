//! A name that was judged, and the partial file beside it.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::existing::{self, FileId, Replace, describe, judge, read_head, refuse_special};
use crate::partial::PartialFile;
use crate::{FileKind, OutputError, PARTIAL_MARK, unfinished};

/// Links that lead to a target.
const MAX_LINKS: usize = 40;
/// Times that other writers may finish between our opening the partial and locking it.
const MAX_RACES: usize = 16;

/// Where a file will be, what it will be, and what it may replace. Source: [`crate::Outputs`].
#[derive(Debug)]
pub struct Target {
    kind: FileKind,
    /// As the user wrote it.
    shown: PathBuf,
    /// Links resolved.
    at: PathBuf,
    partial: PathBuf,
    replace: Replace,
    /// The command has a `--force` that was not given.
    force_would_help: bool,
}

impl Target {
    pub(crate) fn new(
        kind: FileKind,
        path: &Path,
        replace: Replace,
        force_would_help: bool,
    ) -> Result<Self, OutputError> {
        if path.as_os_str().as_bytes().ends_with(b"/") || path.file_name().is_none() {
            return Err(OutputError::refused(path, "names a directory; give the file a name"));
        }
        // Looked at as the system sees it, too: what a link of /proc names need have no name of its own.
        if let Ok(there) = fs::metadata(path) {
            refuse_special(&there, path)?;
        }
        let at = resolve(path).map_err(OutputError::io("follow the link", path))?;
        let mut partial = at.clone().into_os_string();
        partial.push(".partial");
        let (shown, partial) = (path.to_owned(), PathBuf::from(partial));
        Ok(Self { kind, shown, at, partial, replace, force_would_help })
    }

    /// Where the file will be, links resolved.
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// As the user wrote it.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    pub(crate) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Refuses what is there now and may not be replaced; gives what may.
    pub(crate) fn judge(&self) -> Result<Option<Metadata>, OutputError> {
        judge(&self.at, &self.shown, self.kind, self.replace, self.force_would_help)
    }

    /// Whether nothing may be there when the file gets its name.
    pub(crate) fn must_be_new(&self) -> bool {
        self.replace == Replace::Nothing
    }

    /// Begins the file: empty, locked, under a name of its own. Allocates nothing unless it fails.
    ///
    /// # Errors
    /// If the system refuses, another program is writing it, or something foreign bears the partial's name.
    pub fn create(self: &Arc<Self>) -> Result<PartialFile, OutputError> {
        let mut unfinished = unfinished::lock();
        if unfinished.ending() {
            return Err(self.io("begin")(io::ErrorKind::Interrupted.into()));
        }
        let file = self.open_partial()?;
        let (head, length) = read_head(&file).map_err(self.io("read what is left of"))?;
        if length > 0 && !head[..length].starts_with(&PARTIAL_MARK) {
            return Err(self.in_the_way(describe(&head[..length])));
        }
        file.set_len(0).map_err(self.io("empty what is left of"))?;
        unfinished.add(self);
        // A file that is given up takes itself off the list.
        drop(unfinished);
        let partial = PartialFile::new(Arc::clone(self), file);
        partial.mark()?;
        Ok(partial)
    }

    /// The partial, open and locked. Whoever held the lock before may have given that very file its name:
    /// then the name is looked up again, so that a finished file is never touched.
    fn open_partial(&self) -> Result<File, OutputError> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
        for _ in 0..MAX_RACES {
            let there = existing::look(&self.partial).map_err(self.io("look for what is left of"))?;
            if there.is_some_and(|there| !there.is_file()) {
                return Err(self.in_the_way("a link or a special file"));
            }
            let file = options.open(&self.partial).map_err(self.io("create"))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(OutputError::Locked { path: self.shown.clone() });
                }
                Err(TryLockError::Error(source)) => return Err(self.io("lock")(source)),
            }
            let held = file.metadata().map_err(self.io("look at"))?;
            let named = existing::look(&self.partial).map_err(self.io("look at"))?;
            if named.is_some_and(|named| named.is_file() && FileId::of(&named) == FileId::of(&held)) {
                return Ok(file);
            }
        }
        Err(OutputError::Locked { path: self.shown.clone() })
    }

    fn in_the_way(&self, what: &str) -> OutputError {
        let what = format!("is {what} and in the way of {}; move it away", self.shown.display());
        OutputError::refused(&self.partial, what)
    }

    pub(crate) fn io<'a>(&'a self, action: &'static str) -> impl FnOnce(io::Error) -> OutputError + 'a {
        OutputError::io(action, &self.shown)
    }
}

/// The name that a chain of links ends in, whether something is there or not.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        match existing::look(&at)? {
            Some(metadata) if metadata.is_symlink() => {
                let to = fs::read_link(&at)?;
                at.pop();
                at.push(to);
            }
            _ => return Ok(at),
        }
    }
    Err(io::Error::other("too many links, or links in a circle"))
}

/// Whether two names are one place: the same file, or the same name in the same directory.
pub(crate) fn same(a: &Path, b: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).ok().map(|metadata| FileId::of(&metadata));
    if let (Some(a), Some(b)) = (id(a), id(b)) {
        return a == b;
    }
    a.file_name() == b.file_name() && id(directory(a)).is_some_and(|a| Some(a) == id(directory(b)))
}

/// The directory of a file; the working directory for a bare name.
pub(crate) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
