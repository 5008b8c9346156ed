//! Reads stretches of files into memory that somebody else owns.
//!
//! Owns the threads and queues of reading, and the rule that a read is complete or an error. It must
//! never decide what to read, know what an expert is, or hand out bytes that did not arrive.

mod faults;
mod files;
mod owned;
mod page_reader;
mod pread;
mod progress;
mod queue;
mod reader;
mod request;
mod shared;
mod target;
mod uring;

pub use faults::FaultPlan;
pub use files::{ALIGN, ReadFile};
pub use owned::allocate_targets;
pub use page_reader::PageReader;
pub use reader::{ReadOptions, Reader, ReaderKind};
pub use request::{Check, Completion, MAX_CHECKS, MAX_RUNS, ReadError, ReadRequest, Run, Urgency};
pub use target::{BufferRange, ReadTarget};
pub use uring::probe_io_uring;
