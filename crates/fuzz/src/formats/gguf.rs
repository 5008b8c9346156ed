//! GGUF, version 3: where numbers, pairs and table entries of a sound file stand.

use std::ops::Range;

use hotset_testkit::Random;

use super::{u32_at, u64_at};
use crate::mutate::bytes::{Field, fields_at};
use crate::mutate::pick;

/// What a sound file has.
pub struct Map {
    /// Counts, lengths, types, dimensions, offsets and short values.
    pub fields: Vec<Field>,
    /// Whole pairs of the metadata.
    pairs: Vec<Range<usize>>,
    /// Whole entries of the tensor table.
    entries: Vec<Range<usize>>,
}

const TENSORS: Field = Field { at: 8, bytes: 8 };
const PAIRS: Field = Field { at: 16, bytes: 8 };
const STRING: usize = 8;
const ARRAY: usize = 9;
/// Items of an array whose lengths become fields.
const ITEMS: usize = 20;

/// Walks a sound file.
pub fn map(file: &[u8]) -> Map {
    let mut map = Map { fields: fields_at(4, &[4, 8, 8]), pairs: Vec::new(), entries: Vec::new() };
    let mut at = 24;
    for _ in 0..PAIRS.get(file) {
        let start = at;
        at = map.string(file, at);
        map.fields.extend(fields_at(at, &[4]));
        at = map.value(file, u32_at(file, at), at + 4);
        map.pairs.push(start..at);
    }
    for _ in 0..TENSORS.get(file) {
        let start = at;
        at = map.string(file, at);
        let dims = u32_at(file, at);
        let sizes: Vec<usize> =
            std::iter::once(4).chain(std::iter::repeat_n(8, dims)).chain([4, 8]).collect();
        map.fields.extend(fields_at(at, &sizes));
        at += sizes.iter().sum::<usize>();
        map.entries.push(start..at);
    }
    map
}

impl Map {
    fn string(&mut self, file: &[u8], at: usize) -> usize {
        self.fields.extend(fields_at(at, &[8]));
        at + 8 + u64_at(file, at)
    }

    fn value(&mut self, file: &[u8], kind: usize, at: usize) -> usize {
        match kind {
            STRING => self.string(file, at),
            ARRAY => {
                self.fields.extend(fields_at(at, &[4, 8]));
                let (kind, items) = (u32_at(file, at), u64_at(file, at + 4));
                let known = self.fields.len() + ITEMS;
                let end = (0..items).fold(at + 12, |at, _| self.value(file, kind, at));
                self.fields.truncate(known);
                end
            }
            kind => {
                let bytes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8].get(kind).copied().unwrap_or(1);
                self.fields.extend(fields_at(at, &[bytes]));
                at + bytes
            }
        }
    }

    /// A file with a pair or an entry left out, doubled, or in another's place, and the counts right.
    pub fn rearranged(&self, random: &mut Random, file: &[u8]) -> Vec<u8> {
        let of_pairs = random.below(3) > 0;
        let (all, count) = if of_pairs { (&self.pairs, PAIRS) } else { (&self.entries, TENSORS) };
        let mut order = all.clone();
        let (at, other) = (random.below(order.len()), random.below(order.len()));
        match random.below(4) {
            0 => drop(order.remove(at)),
            1 => order.insert(at, pick(random, all).clone()),
            2 => order.swap(at, other),
            _ => order[at] = all[other].clone(),
        }
        let (first, last) = (all[0].start, all[all.len() - 1].end);
        let mut out = file[..first].to_vec();
        order.iter().for_each(|range| out.extend(&file[range.clone()]));
        out.extend(&file[last..]);
        count.put(&mut out, order.len() as u64);
        self.realign(file, out)
    }

    /// Tensor data begin at the next multiple of 32 behind the table.
    fn realign(&self, file: &[u8], mut out: Vec<u8>) -> Vec<u8> {
        let end = self.entries.last().map_or(24, |entry| entry.end);
        let data = end.next_multiple_of(32);
        let table_end = out.len() - (file.len() - end);
        out.splice(
            table_end..table_end + (data - end),
            std::iter::repeat_n(0, table_end.next_multiple_of(32) - table_end),
        );
        out
    }
}
