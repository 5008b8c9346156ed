//! Ranges of bytes inside files, and the one function that checks sizes a file declares.

use crate::{Bytes, FileId};

/// A range of bytes in one of the model's files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Which file.
    pub file: FileId,
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Length.
    pub bytes: Bytes,
}

impl Extent {
    /// One past the last byte. Extents are only made by [`checked_extent`], so this cannot wrap.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.0
    }
}

/// A size or position declared by a file that the file itself can not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtentError {
    /// `count * each` or `offset + size` does not fit 64 bits.
    #[error("declares {count} x {each} bytes at offset {offset}, which overflows")]
    Overflow {
        /// Declared position.
        offset: u64,
        /// Declared number of elements.
        count: u64,
        /// Bytes of one element.
        each: u64,
    },
    /// The range ends past the end of the file.
    #[error("ends at byte {end}, but the file has only {limit} bytes: it is truncated or damaged")]
    PastEnd {
        /// Where the range would end.
        end: u64,
        /// Where the file ends.
        limit: u64,
    },
}

/// Checks that `count` elements of `each` bytes at `offset` lie inside `limit` bytes of `file`.
///
/// Every size that comes from a file goes through here before it is used or allocated.
pub fn checked_extent(
    file: FileId,
    offset: u64,
    count: u64,
    each: u64,
    limit: u64,
) -> Result<Extent, ExtentError> {
    let overflow = ExtentError::Overflow { offset, count, each };
    let bytes = count.checked_mul(each).ok_or(overflow.clone())?;
    let end = offset.checked_add(bytes).ok_or(overflow)?;
    if end > limit {
        return Err(ExtentError::PastEnd { end, limit });
    }
    Ok(Extent { file, offset, bytes: Bytes(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_sizes_are_checked_at_the_limit_and_one_past_it() {
        let check = |offset, count, each, limit| checked_extent(FileId(0), offset, count, each, limit);
        assert!(check(10, 9, 10, 100).is_ok());
        assert!(matches!(check(10, 91, 1, 100), Err(ExtentError::PastEnd { end: 101, .. })));
        assert!(matches!(check(0, 1 << 63, 2, u64::MAX), Err(ExtentError::Overflow { .. })));
        assert!(matches!(check(u64::MAX, 1, 1, u64::MAX), Err(ExtentError::Overflow { .. })));
        assert!(check(100, 0, 8, 100).is_ok());
    }
}
