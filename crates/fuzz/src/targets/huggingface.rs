//! Hugging Face directories: any of their JSON files, and the headers of safetensors.

use std::fs;
use std::io;
use std::path::Path;

use hotset_base::WeightType;
use hotset_testkit::Random;
use serde_json::Value;

use super::model;
use crate::mutate::{bytes, json, once_in, pick};
use crate::target::{Outcome, Target, Workshop};

struct HuggingFace {
    /// Name and bytes of every file.
    files: Vec<(String, Vec<u8>)>,
}

pub fn make(workshop: &Workshop) -> io::Result<Box<dyn Target>> {
    let dir = workshop.sound.join("hf");
    model::tiny().write_hf(&dir, WeightType::BF16, 2)?;
    model::answer(&dir).map_err(io::Error::other)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&dir)? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
    }
    files.sort();
    Ok(Box::new(HuggingFace { files }))
}

impl Target for HuggingFace {
    fn prepare(&mut self, random: &mut Random, place: &Path) -> io::Result<()> {
        let mut files = self.files.clone();
        for _ in 0..1 + random.below(2) {
            let at = random.below(files.len());
            let (name, bytes) = &mut files[at];
            match name.ends_with(".json") {
                true => *bytes = changed_json(random, bytes),
                false => *bytes = changed_safetensors(random, bytes),
            }
            if once_in(random, 40) {
                *name =
                    (*pick(random, &["pytorch_model.bin", "x.safetensors", "model.safetensors"])).to_owned();
            }
        }
        files.iter().try_for_each(|(name, bytes)| fs::write(place.join(name), bytes))
    }

    fn run(&mut self, place: &Path) -> Result<Outcome, String> {
        Ok(Outcome::here(model::answer(place)))
    }
}

/// What was changed before may be no JSON any more; then its bytes are changed.
fn changed_json(random: &mut Random, text: &[u8]) -> Vec<u8> {
    match serde_json::from_slice::<Value>(text) {
        Ok(mut value) => {
            json::mutate(random, &mut value);
            json::to_text(random, &value)
        }
        Err(_) => {
            let mut text = text.to_vec();
            bytes::mutate(random, &mut text, &[]);
            text
        }
    }
}

/// The header as JSON, its length right or not, or any byte.
fn changed_safetensors(random: &mut Random, file: &[u8]) -> Vec<u8> {
    let length = file.first_chunk().map_or(0, |length| u64::from_le_bytes(*length) as usize);
    let mut out = match (file.get(8..8usize.saturating_add(length)), random.below(4)) {
        (Some(header), 1..) => {
            let header_text = changed_json(random, header);
            let mut out = (header_text.len() as u64).to_le_bytes().to_vec();
            out.extend(header_text);
            out.extend(&file[8 + length..]);
            out
        }
        _ => file.to_vec(),
    };
    if out == file || once_in(random, 8) {
        bytes::mutate(random, &mut out, &bytes::fields_at(0, &[8]));
    }
    out
}
