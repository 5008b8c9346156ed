//! What this machine has, asked of the kernel: memory of the process and memory that is free.

use std::fs;
use std::io;
use std::path::Path;

use hotset_base::Bytes;
use rustix::mm::MlockAllFlags;

/// Memory of this process that is in RAM now. `None` where the system does not say (not Linux).
pub fn resident_memory() -> Option<Bytes> {
    kib_field("/proc/self/status", "VmRSS:")
}

/// The most memory this process has had in RAM.
pub fn peak_memory() -> Option<Bytes> {
    kib_field("/proc/self/status", "VmHWM:")
}

/// Memory that can be taken without pushing others out: the kernel's estimate, or what is left of
/// the control group's limit if that is less.
pub fn available_memory() -> Option<Bytes> {
    let machine = kib_field("/proc/meminfo", "MemAvailable:")?;
    Some(control_group_room().map_or(machine, |room| machine.min(room)))
}

/// Keeps everything this process maps from now on in RAM.
///
/// # Errors
/// What the system says: usually that the limit on locked memory is too low.
pub(crate) fn lock_memory() -> io::Result<()> {
    Ok(rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?)
}

/// A line `NAME   123 kB` of a proc file.
fn kib_field(file: &str, name: &str) -> Option<Bytes> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(Bytes(kib << 10))
}

/// Limit minus use of this process's control group (version 2, else version 1's memory controller).
fn control_group_room() -> Option<Bytes> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let v2 = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let v1 = groups.lines().find_map(|line| line.split_once(":memory:").map(|(_, path)| path));
    let unified = v2.and_then(|path| room_in("/sys/fs/cgroup", path, "memory.max", "memory.current"));
    unified
        .or_else(|| room_in("/sys/fs/cgroup/memory", v1?, "memory.limit_in_bytes", "memory.usage_in_bytes"))
}

fn room_in(root: &str, group: &str, limit: &str, usage: &str) -> Option<Bytes> {
    let directory = Path::new(root).join(group.trim_start_matches('/'));
    let number = |file: &str| fs::read_to_string(directory.join(file)).ok()?.trim().parse::<u64>().ok();
    // "max" does not parse: no limit.
    let limit = number(limit)?;
    Some(Bytes(limit.saturating_sub(number(usage)?)))
}
