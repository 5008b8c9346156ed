//! Reads experts from files into memory that somebody else owns.
//!
//! Owns the threads and queues of reading, and the rule that a read is complete or an error. It must
//! never decide what to read, know what an expert is, or hand out bytes that did not arrive.

mod engine;
mod owned;
mod pread;
mod target;

pub use engine::{Completion, MAX_PARTS, Part, ReadEngine, ReadError, ReadRequest, Run};
pub use pread::PreadPool;
pub use target::ReadTarget;
