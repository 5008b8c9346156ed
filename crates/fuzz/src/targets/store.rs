//! Packed stores.

use std::fs;
use std::io;
use std::path::Path;

use hotset_base::WeightType;
use hotset_testkit::Random;
use serde_json::Value;

use super::model;
use crate::formats::store;
use crate::mutate::{bytes, json, once_in};
use crate::target::{Outcome, Target, Workshop};

const NAME: &str = "m.hotset";

struct Store {
    sound: Vec<u8>,
    answer: String,
    metadata: Value,
    resealed: bool,
}

pub fn make(workshop: &Workshop) -> io::Result<Box<dyn Target>> {
    let (source, path) = (workshop.sound.join("source"), workshop.sound.join(NAME));
    model::tiny().write_hf(&source, WeightType::BF16, 1)?;
    model::pack_keep(&source, &path).map_err(io::Error::other)?;
    let (sound, answer) = (fs::read(&path)?, model::answer(&path).map_err(io::Error::other)?);
    let metadata = serde_json::from_slice(&sound[store::metadata(&sound)])?;
    Ok(Box::new(Store { sound, answer, metadata, resealed: false }))
}

impl Target for Store {
    fn prepare(&mut self, random: &mut Random, place: &Path) -> io::Result<()> {
        let mut file = self.sound.clone();
        self.resealed = once_in(random, 2);
        match random.below(3) {
            0 => {
                let mut metadata = self.metadata.clone();
                json::mutate(random, &mut metadata);
                file = store::with_metadata(&file, &json::to_text(random, &metadata));
            }
            1 => bytes::mutate_in_place(random, &mut file, &store::fields(&self.sound)),
            _ => bytes::mutate(random, &mut file, &store::fields(&self.sound)),
        }
        if self.resealed {
            store::reseal(&mut file);
        }
        fs::write(place.join(NAME), file)
    }

    fn run(&mut self, place: &Path) -> Result<Outcome, String> {
        let answer = model::answer(&place.join(NAME));
        match &answer {
            Ok(text) if !self.resealed && *text != self.answer => {
                Err(format!("a damaged store answers {text:?}, the sound one {:?}", self.answer))
            }
            _ => Ok(Outcome::here(answer)),
        }
    }
}
