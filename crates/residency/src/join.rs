//! The checksum of two pieces from those of each, for the lengths that a model's second pieces have.
//!
//! CRC-32C is linear: crc(head ++ tail) = shift(crc(head)) ^ crc(tail), where `shift` is a matrix over GF(2) that
//! depends on the tail's length alone. The library works it out anew for every pair, which took 1 to 2 % of a
//! decoded token; here it is kept.

/// Lengths whose matrix is kept. A packed store has one for every size of `down`, a GGUF file as well.
const MAX_KEPT: usize = 64;

/// See the module's text.
pub(crate) struct Joins {
    /// Ascending.
    lengths: Vec<usize>,
    /// What each bit of the head's checksum becomes behind a tail of that length.
    shifts: Vec<[u32; 32]>,
}

impl Joins {
    pub fn new(tails: impl Iterator<Item = usize>) -> Self {
        let mut lengths: Vec<usize> = Vec::new();
        for length in tails {
            if let Err(at) = lengths.binary_search(&length)
                && lengths.len() < MAX_KEPT
            {
                lengths.insert(at, length);
            }
        }
        let shift = |&length: &usize| std::array::from_fn(|bit| crc32c::crc32c_combine(1 << bit, 0, length));
        let shifts = lengths.iter().map(shift).collect();
        Self { lengths, shifts }
    }

    /// The checksum of a piece with checksum `head` and one of `tail_bytes` with checksum `tail` behind it.
    pub fn join(&self, head: u32, tail: u32, tail_bytes: usize) -> u32 {
        match self.lengths.binary_search(&tail_bytes) {
            Ok(at) => shift(&self.shifts[at], head) ^ tail,
            Err(_) => crc32c::crc32c_combine(head, tail, tail_bytes),
        }
    }
}

fn shift(matrix: &[u32; 32], crc: u32) -> u32 {
    let column = |bit: usize| matrix[bit] & 0u32.wrapping_sub(crc >> bit & 1);
    (0..32).map(column).fold(0, |sum, column| sum ^ column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_checksums_are_those_of_the_whole() {
        let bytes: Vec<u8> = (0..70_000u64).map(|i| (i * i % 251) as u8).collect();
        let cuts = [0, 1, 4096, 65_537, 69_999, 70_000];
        let kept = Joins::new(cuts.iter().map(|cut| bytes.len() - cut));
        let none = Joins::new(std::iter::empty());
        for cut in cuts {
            let (head, tail) = bytes.split_at(cut);
            let (first, second) = (crc32c::crc32c_append(7, head), crc32c::crc32c(tail));
            let whole = crc32c::crc32c_append(7, &bytes);
            assert_eq!(kept.join(first, second, tail.len()), whole);
            assert_eq!(none.join(first, second, tail.len()), whole);
        }
    }

    #[test]
    fn a_file_of_many_lengths_is_joined_all_the_same() {
        let joins = Joins::new(0..10_000);
        assert_eq!(joins.lengths.len(), MAX_KEPT);
        assert_eq!(joins.join(3, 5, 9000), crc32c::crc32c_combine(3, 5, 9000));
    }
}
