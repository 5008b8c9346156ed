//! Changes of binary files: numbers in their fields, bits, and stretches that go, come and move.

use hotset_testkit::Random;

use super::{extreme_number, once_in, pick};

/// Longest stretch that is moved, doubled or filled.
const STRETCH: usize = 512;

/// A little-endian number in a file.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Where it begins.
    pub at: usize,
    /// Its bytes, at most 8.
    pub bytes: usize,
}

impl Field {
    /// Puts a number there, as much of it as has room.
    pub fn put(self, file: &mut [u8], number: u64) {
        if let Some(place) = file.get_mut(self.at..self.at + self.bytes) {
            place.copy_from_slice(&number.to_le_bytes()[..self.bytes]);
        }
    }

    /// What is there; 0 behind the end.
    pub fn get(self, file: &[u8]) -> u64 {
        let mut number = [0; 8];
        if let Some(place) = file.get(self.at..self.at + self.bytes) {
            number[..self.bytes].copy_from_slice(place);
        }
        u64::from_le_bytes(number)
    }
}

/// Fields that follow each other.
pub fn fields_at(mut at: usize, sizes: &[usize]) -> Vec<Field> {
    let next = |&bytes: &usize| {
        let field = Field { at, bytes };
        at += bytes;
        field
    };
    sizes.iter().map(next).collect()
}

/// One to four changes, most of them in `fields`. The length may change.
pub fn mutate(random: &mut Random, file: &mut Vec<u8>, fields: &[Field]) {
    for _ in 0..1 + random.below(4) {
        if !fields.is_empty() && !once_in(random, 3) {
            let field = *pick(random, fields);
            change_field(random, file, field);
        } else if once_in(random, 3) {
            change_length(random, file);
        } else {
            change_in_place(random, file);
        }
    }
}

/// The same without changes of the length.
pub fn mutate_in_place(random: &mut Random, file: &mut [u8], fields: &[Field]) {
    for _ in 0..1 + random.below(3) {
        if fields.is_empty() || once_in(random, 3) {
            change_in_place(random, file);
        } else {
            let field = *pick(random, fields);
            change_field(random, file, field);
        }
    }
}

fn change_field(random: &mut Random, file: &mut [u8], field: Field) {
    let was = field.get(file);
    let number = match random.below(6) {
        0 => was.wrapping_add(1),
        1 => was.wrapping_sub(1),
        2 => was ^ 1 << random.below(8 * field.bytes),
        3 => f32::to_bits(*pick(random, &[f32::NAN, f32::INFINITY, -1.0, 1e-40, f32::MAX])).into(),
        _ => extreme_number(random),
    };
    field.put(file, number);
}

fn stretch(random: &mut Random, length: usize) -> std::ops::Range<usize> {
    let at = random.below(length);
    let longest = [1, 4, 16, STRETCH][random.below(4)];
    at..(at + 1 + random.below(longest)).min(length)
}

fn change_in_place(random: &mut Random, file: &mut [u8]) {
    if file.is_empty() {
        return;
    }
    let range = stretch(random, file.len());
    match random.below(5) {
        0 => file[range.start] ^= 1 << random.below(8),
        1 => file[range].fill(*pick(random, &[0, 0xff, b'"', 0x80])),
        2 => file[range].iter_mut().for_each(|byte| *byte = random.bits() as u8),
        3 => {
            let to = random.below(file.len() - range.len() + 1);
            file.copy_within(range, to);
        }
        _ => {
            let bytes = *pick(random, &[1, 2, 4, 8]);
            let number = extreme_number(random);
            Field { at: range.start, bytes }.put(file, number);
        }
    }
}

fn change_length(random: &mut Random, file: &mut Vec<u8>) {
    if file.is_empty() {
        file.push(random.bits() as u8);
        return;
    }
    let range = stretch(random, file.len());
    match random.below(5) {
        0 => file.truncate(range.start),
        1 => drop(file.drain(range)),
        2 => {
            let copy = file[range.clone()].to_vec();
            file.splice(range.start..range.start, copy);
        }
        3 => {
            let more = vec![*pick(random, &[0, 0xff, b' ']); range.len()];
            file.splice(range.start..range.start, more);
        }
        _ => file.extend((0..range.len()).map(|_| random.bits() as u8)),
    }
}
