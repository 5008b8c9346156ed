//! Control groups: the memory limit this process lives under, and a group with a limit of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hotset_base::Bytes;

/// Limits at or above this are the kernel's way to say "none" (version 1).
const NO_LIMIT: u64 = 1 << 60;

/// The two interfaces there are; a machine has the memory controller in one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    One,
    Two,
}

impl Version {
    fn root(self) -> &'static Path {
        Path::new(match self {
            Self::One => "/sys/fs/cgroup/memory",
            Self::Two => "/sys/fs/cgroup",
        })
    }

    /// Name of the file with the limit, the use now, the most ever used.
    fn files(self) -> [&'static str; 3] {
        match self {
            Self::One => ["memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes"],
            Self::Two => ["memory.max", "memory.current", "memory.peak"],
        }
    }

    /// Where the kernel counts the processes that it ended for want of memory.
    fn events(self) -> &'static str {
        match self {
            Self::One => "memory.oom_control",
            Self::Two => "memory.events",
        }
    }
}

/// A group that accounts for memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlGroup {
    version: Version,
    directory: PathBuf,
}

/// Why no group with a limit could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlGroupError {
    /// Not Linux, or a container without them.
    #[error("this machine shows no control group with a memory controller")]
    None,
    /// The kernel or its owner said no.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Refused {
        /// `create`, `set` ...
        what: &'static str,
        /// Of which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Version 2 gives a group either processes or limits for its children.
    #[error("no memory controller is delegated to {path}", path = .0.display())]
    NotDelegated(PathBuf),
}

impl ControlGroup {
    /// The group this process is in. `None` where there is none that accounts for memory.
    pub fn own() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let (version, path) = memory_group(&groups)?;
        let directory = version.root().join(path.trim_start_matches('/'));
        // In a container the path may be the host's; what is mounted is then the container's own group.
        let directory = if directory.is_dir() { directory } else { version.root().to_owned() };
        directory.join("cgroup.procs").exists().then_some(Self { version, directory })
    }

    /// A group made earlier by [`ControlGroup::create_child`], perhaps by another process.
    pub fn at(directory: PathBuf) -> Self {
        let version =
            if directory.join(Version::Two.files()[0]).exists() { Version::Two } else { Version::One };
        Self { version, directory }
    }

    /// Where it is in the file system.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// `v1` or `v2`.
    pub fn version(&self) -> &'static str {
        match self.version {
            Version::One => "v1",
            Version::Two => "v2",
        }
    }

    /// The smallest limit of this group and those above it.
    pub fn limit(&self) -> Option<Bytes> {
        self.with_ancestors().filter_map(|group| group.own_limit()).min()
    }

    /// What can still be taken: the smallest limit less use, of this group and those above it.
    pub fn room(&self) -> Option<Bytes> {
        let room = |group: Self| Some(group.own_limit()?.saturating_sub(group.in_use()?));
        self.with_ancestors().filter_map(room).min()
    }

    /// What it has taken, without the page cache that the kernel drops when memory is wanted: of files, and as
    /// they are on the disk.
    fn in_use(&self) -> Option<Bytes> {
        let text = fs::read_to_string(self.directory.join("memory.stat")).unwrap_or_default();
        Some(self.number(1)?.saturating_sub(clean_cache(&text, self.version)))
    }

    /// The most memory it has used, page cache included. `None` where the kernel does not keep it
    /// (version 2 before Linux 5.19).
    pub fn peak(&self) -> Option<Bytes> {
        self.number(2)
    }

    /// Processes the kernel ended because of the limit.
    pub fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.directory.join(self.version.events())).unwrap_or_default();
        field(&text, "oom_kill").unwrap_or(0)
    }

    /// How often an allocation met the limit and something had to be reclaimed.
    pub fn limit_hits(&self) -> u64 {
        let read = |file: &str| fs::read_to_string(self.directory.join(file)).unwrap_or_default();
        match self.version {
            Version::One => read("memory.failcnt").trim().parse().unwrap_or(0),
            Version::Two => field(&read("memory.events"), "max").unwrap_or(0),
        }
    }

    /// Makes a group for `limit` bytes of memory and no swap, in this one or, where version 2 does not
    /// let this one have both processes and limited children, beside it.
    ///
    /// # Errors
    /// What the system refused. Nothing is left behind.
    pub fn create_child(&self, name: &str, limit: Bytes) -> Result<Self, ControlGroupError> {
        let mut parents = vec![self.directory.as_path()];
        if self.version == Version::Two && self.directory != self.version.root() {
            parents.extend(self.directory.parent());
        }
        let mut outcome = Err(ControlGroupError::None);
        for parent in parents {
            let child = Self { version: self.version, directory: parent.join(name) };
            outcome = child.create(limit).map(|()| child);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn create(&self, limit: Bytes) -> Result<(), ControlGroupError> {
        let refused = |what, path: &Path| {
            let path = path.to_owned();
            move |source| ControlGroupError::Refused { what, path, source }
        };
        fs::create_dir(&self.directory).map_err(refused("create", &self.directory))?;
        let file = self.directory.join(self.version.files()[0]);
        let outcome = if file.exists() {
            fs::write(&file, limit.0.to_string()).map_err(refused("set", &file))
        } else {
            Err(ControlGroupError::NotDelegated(self.directory.clone()))
        };
        if outcome.is_err() {
            let _ = fs::remove_dir(&self.directory);
            return outcome;
        }
        let (swap, value) = match self.version {
            // Version 1 limits memory and swap together.
            Version::One => ("memory.memsw.limit_in_bytes", limit.0),
            Version::Two => ("memory.swap.max", 0),
        };
        // A kernel without swap accounting has no such file.
        let _ = fs::write(self.directory.join(swap), value.to_string());
        Ok(())
    }

    /// Moves this process into the group.
    ///
    /// # Errors
    /// What the system says.
    pub fn join(&self) -> io::Result<()> {
        fs::write(self.directory.join("cgroup.procs"), std::process::id().to_string())
    }

    /// Removes the group, which must have no process left.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir(&self.directory)
    }

    fn with_ancestors(&self) -> impl Iterator<Item = Self> {
        let version = self.version;
        let inside = self.directory.ancestors().take_while(move |path| path.starts_with(version.root()));
        inside.map(move |path| Self { version, directory: path.to_owned() })
    }

    fn own_limit(&self) -> Option<Bytes> {
        self.number(0).filter(|limit| limit.0 < NO_LIMIT)
    }

    /// One of [`Version::files`]. "max" does not parse: no limit.
    fn number(&self, file: usize) -> Option<Bytes> {
        let text = fs::read_to_string(self.directory.join(self.version.files()[file])).ok()?;
        text.trim().parse().ok().map(Bytes)
    }
}

/// Version and path of the group that accounts for memory, from the text of `/proc/self/cgroup`: lines
/// `ID:CONTROLLERS:PATH`, where version 2 has the id 0 and names no controller.
fn memory_group(text: &str) -> Option<(Version, &str)> {
    let mut two = None;
    for line in text.lines() {
        let (id, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        if controllers.split(',').any(|name| name == "memory") {
            return Some((Version::One, path));
        }
        if id == "0" && controllers.is_empty() {
            two = Some((Version::Two, path));
        }
    }
    two
}

/// Clean page cache of files by a `memory.stat`, groups below included.
fn clean_cache(stat: &str, version: Version) -> Bytes {
    let (files, unwritten) = match version {
        Version::One => (["total_inactive_file", "total_active_file"], ["total_dirty", "total_writeback"]),
        Version::Two => (["inactive_file", "active_file"], ["file_dirty", "file_writeback"]),
    };
    let sum = |names: [&str; 2]| Bytes(names.iter().filter_map(|name| field(stat, name)).sum());
    sum(files).saturating_sub(sum(unwritten))
}

/// The number of a line `NAME NUMBER`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_group_is_found_in_both_versions() {
        let one = "9:name=systemd:/\n4:cpu,memory:/jobs/a:b\n2:cpuacct:/\n0::/\n";
        assert_eq!(memory_group(one), Some((Version::One, "/jobs/a:b")));
        let two = "0::/user.slice/session-2.scope\n";
        assert_eq!(memory_group(two), Some((Version::Two, "/user.slice/session-2.scope")));
        assert_eq!(memory_group("4:hugetlb,memory_recursive:/x\n"), None);
        assert_eq!(memory_group("no colons"), None);
        assert_eq!(memory_group(""), None);
    }

    #[test]
    fn events_are_read_by_their_whole_name() {
        let events = "low 0\nhigh 1\nmax 17\noom 3\noom_kill 2\noom_group_kill 0\n";
        assert_eq!((field(events, "max"), field(events, "oom_kill")), (Some(17), Some(2)));
        assert_eq!(field("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", "oom_kill"), Some(5));
        assert_eq!(field(events, "swap"), None);
    }

    #[test]
    fn clean_cache_is_what_files_have_less_what_is_not_on_the_disk() {
        let two = "anon 99\nfile 900\nfile_dirty 30\nfile_writeback 5\ninactive_file 600\nactive_file 200\n";
        assert_eq!(clean_cache(two, Version::Two), Bytes(765));
        let one = "cache 1\ninactive_file 7\ntotal_dirty 4\ntotal_writeback 1\ntotal_inactive_file 60\ntotal_active_file 20\n";
        assert_eq!(clean_cache(one, Version::One), Bytes(75));
        assert_eq!(clean_cache("", Version::Two), Bytes(0));
        assert_eq!(clean_cache("file_dirty 9\n", Version::Two), Bytes(0));
    }

    #[test]
    fn groups_above_are_inside_the_mount() {
        let group = ControlGroup { version: Version::One, directory: "/sys/fs/cgroup/memory/a/b".into() };
        assert_eq!(group.with_ancestors().count(), 3);
    }
}
