//! What this machine has and does, asked of the kernel or measured.

mod bandwidth;
mod control_group;
mod cpu_time;
mod memory;
mod processor;
mod system;

pub use bandwidth::{GIGA, MemoryBandwidth};
pub use control_group::{ControlGroup, ControlGroupError};
pub use cpu_time::CpuTime;
pub use memory::{
    MachineMemory, address_space_left, available_memory, installed_memory, peak_memory, resident_memory,
    total_memory,
};
pub use processor::{instruction_sets, processor_name};
pub(crate) use system::lock_memory;
pub use system::{
    direct_reads, drop_page_cache, end_with_parent, huge_pages, locked_memory_limit, read_ahead,
};
