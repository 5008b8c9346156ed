//! Maps in the order of their keys' insertion, with Python's equality of keys.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::jinja::compare::equal;
use crate::jinja::fault::{Result, fail};
use crate::jinja::meter::{Held, Meter};
use crate::jinja::value::{Value, deeper};

/// Below this, looking at every key is as fast as a table.
const SMALL: usize = 8;

/// Memory of an entry: key, value, and its place in the table.
const ENTRY: usize = 2 * size_of::<Value>() + 64;

#[derive(Debug)]
pub(crate) struct Dict {
    entries: Vec<(Value, Value)>,
    table: HashMap<u64, Vec<u32>>,
    hashes: RandomState,
    depth: usize,
    held: Held,
}

impl Dict {
    pub(crate) fn new(meter: &Meter) -> Result<Self> {
        let (entries, table, hashes) = (Vec::new(), HashMap::new(), RandomState::new());
        Ok(Self { entries, table, hashes, depth: 1, held: meter.hold(64)? })
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn entry(&self, index: usize) -> Option<&(Value, Value)> {
        self.entries.get(index)
    }

    pub(crate) fn entries(&self) -> &[(Value, Value)] {
        &self.entries
    }

    /// Sets `key`; a key that is there keeps its place.
    pub(crate) fn insert(&mut self, meter: &Meter, key: Value, value: Value) -> Result<()> {
        meter.step()?;
        self.depth = self.depth.max(deeper([&key, &value].into_iter())?);
        let hash = self.hash(meter, &key)?;
        if let Some(index) = self.find(meter, &key, hash)? {
            self.entries[index].1 = value;
            return Ok(());
        }
        self.held.grow(ENTRY)?;
        self.entries.push((key, value));
        if self.entries.len() == SMALL + 1 {
            for index in 0..SMALL {
                let hash = self.hash(meter, &self.entries[index].0)?;
                self.table.entry(hash).or_default().push(index as u32);
            }
        }
        if self.entries.len() > SMALL {
            self.table.entry(hash).or_default().push(self.entries.len() as u32 - 1);
        }
        Ok(())
    }

    pub(crate) fn get(&self, meter: &Meter, key: &Value) -> Result<Option<&Value>> {
        let hash = self.hash(meter, key)?;
        Ok(self.find(meter, key, hash)?.map(|index| &self.entries[index].1))
    }

    /// The value of a key that is a string.
    pub(crate) fn get_str(&self, meter: &Meter, key: &str) -> Result<Option<&Value>> {
        if self.entries.len() <= SMALL {
            meter.bytes(self.entries.len() * 8 + key.len())?;
            let found = self.entries.iter().find(|(candidate, _)| candidate.as_str() == Some(key));
            return Ok(found.map(|(_, value)| value));
        }
        meter.bytes(2 * key.len())?;
        let candidates = self.table.get(&self.hashes.hash_one(key)).map_or(&[][..], Vec::as_slice);
        let found = candidates.iter().map(|index| &self.entries[*index as usize]);
        Ok(found.into_iter().find(|(candidate, _)| candidate.as_str() == Some(key)).map(|(_, value)| value))
    }

    fn find(&self, meter: &Meter, key: &Value, hash: u64) -> Result<Option<usize>> {
        if self.entries.len() <= SMALL {
            for (index, (candidate, _)) in self.entries.iter().enumerate() {
                if equal(meter, candidate, key)? {
                    return Ok(Some(index));
                }
            }
            return Ok(None);
        }
        for index in self.table.get(&hash).map_or(&[][..], Vec::as_slice) {
            if equal(meter, &self.entries[*index as usize].0, key)? {
                return Ok(Some(*index as usize));
            }
        }
        Ok(None)
    }

    fn hash(&self, meter: &Meter, key: &Value) -> Result<u64> {
        let mut hasher = self.hashes.build_hasher();
        hash(meter, key, &mut hasher)?;
        Ok(hasher.finish())
    }
}

/// Equal values have equal hashes; lists and maps have none, as in Python.
fn hash(meter: &Meter, value: &Value, hasher: &mut impl Hasher) -> Result<()> {
    meter.step()?;
    match value {
        Value::None => hasher.write_u8(0),
        Value::Undefined(_) => hasher.write_u8(1),
        Value::Bool(flag) => hasher.write_i64(i64::from(*flag)),
        Value::Int(number) => hasher.write_i64(*number),
        Value::Float(number) if *number == (*number as i64) as f64 => hasher.write_i64(*number as i64),
        Value::Float(number) => hasher.write_u64(number.to_bits()),
        Value::Text(text) => {
            meter.bytes(text.text.len())?;
            text.text.hash(hasher);
        }
        Value::Tuple(tuple) => {
            hasher.write_usize(tuple.items.len());
            for item in &tuple.items {
                hash(meter, item, hasher)?;
            }
        }
        Value::Object(object) => hasher.write_usize(std::rc::Rc::as_ptr(object).addr()),
        Value::Range(range) => hasher.write_usize(range.len()),
        other => return fail(format!("unhashable type: '{}'", other.type_name())),
    }
    Ok(())
}
