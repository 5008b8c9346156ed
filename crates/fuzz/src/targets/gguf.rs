//! GGUF files.

use std::fs;
use std::io;
use std::path::Path;

use hotset_base::WeightType;
use hotset_testkit::Random;

use super::model;
use crate::formats::gguf::{self, Map};
use crate::mutate::{bytes, once_in};
use crate::target::{Outcome, Target, Workshop};

const NAME: &str = "m.gguf";

struct Gguf {
    sound: Vec<u8>,
    map: Map,
}

pub fn make(workshop: &Workshop) -> io::Result<Box<dyn Target>> {
    let path = workshop.sound.join(NAME);
    model::tiny().write_gguf(&path, &|_| WeightType::Q8_0, 1)?;
    model::answer(&path).map_err(io::Error::other)?;
    let sound = fs::read(&path)?;
    Ok(Box::new(Gguf { map: gguf::map(&sound), sound }))
}

impl Target for Gguf {
    fn prepare(&mut self, random: &mut Random, place: &Path) -> io::Result<()> {
        let mut file = match once_in(random, 3) {
            true => self.map.rearranged(random, &self.sound),
            false => self.sound.clone(),
        };
        if file == self.sound || once_in(random, 2) {
            bytes::mutate(random, &mut file, &self.map.fields);
        }
        fs::write(place.join(NAME), file)
    }

    fn run(&mut self, place: &Path) -> Result<Outcome, String> {
        Ok(Outcome::here(model::answer(&place.join(NAME))))
    }
}
