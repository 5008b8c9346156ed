//! Where something lies in a store.

/// A position and a length in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub offset: u64,
    pub bytes: u64,
}

impl Span {
    pub fn end(self) -> u64 {
        self.offset + self.bytes
    }
}
