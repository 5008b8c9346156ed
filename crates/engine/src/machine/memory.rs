//! Memory of the process and memory that is free.

use std::fs;

use hotset_base::Bytes;

use super::ControlGroup;

/// What a plan goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineMemory {
    /// What this process has in RAM.
    pub resident: Bytes,
    /// What it can take beside that without pushing others out; `None` where the system does not say.
    pub available: Option<Bytes>,
}

impl MachineMemory {
    /// What the program is taken to occupy where the system does not say.
    const UNKNOWN_RESIDENT: Bytes = Bytes::mib(16);

    /// Asks the system.
    pub fn now() -> Self {
        let resident = resident_memory().unwrap_or(Self::UNKNOWN_RESIDENT);
        Self { resident, available: available_memory() }
    }
}

/// Memory of this process that is in RAM now. `None` where the system does not say (not Linux).
pub fn resident_memory() -> Option<Bytes> {
    kib_field("/proc/self/status", "VmRSS:")
}

/// The most memory this process has had in RAM.
pub fn peak_memory() -> Option<Bytes> {
    kib_field("/proc/self/status", "VmHWM:")
}

/// Memory of the machine.
pub fn total_memory() -> Option<Bytes> {
    kib_field("/proc/meminfo", "MemTotal:")
}

/// Memory that there is: the machine's, or the control group's limit if that is less.
pub fn installed_memory() -> Option<Bytes> {
    let limit = ControlGroup::own().and_then(|group| group.limit());
    [total_memory(), limit].into_iter().flatten().min()
}

/// Address space that is left to this process (`ulimit -v`); `None` without limit.
pub fn address_space_left() -> Option<Bytes> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::As).current?;
    let taken = kib_field("/proc/self/status", "VmSize:").unwrap_or_default();
    Some(Bytes(limit).saturating_sub(taken))
}

/// Memory that can be taken without pushing others out: the kernel's estimate, or what is left of
/// the control group's limit if that is less.
pub fn available_memory() -> Option<Bytes> {
    let machine = kib_field("/proc/meminfo", "MemAvailable:")?;
    let room = ControlGroup::own().and_then(|group| group.room());
    Some(room.map_or(machine, |room| machine.min(room)))
}

/// A line `NAME   123 kB` of a proc file.
fn kib_field(file: &str, name: &str) -> Option<Bytes> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(Bytes(kib << 10))
}
