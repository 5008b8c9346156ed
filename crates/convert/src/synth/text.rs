//! The planted text: one cycle through all words of the vocabulary, cut into runs of one topic.
//!
//! It is a function of the size of the vocabulary and the seed alone, so that a model's own name is
//! enough to say it again.

use std::collections::HashMap;
use std::ops::Range;

use super::calibration::{RUN, TOPICS};
use super::random::Stream;
use super::vocabulary::{Kinds, vocabulary};

const ORDER: u64 = 1;
const TOPIC: u64 = 2;
const ENTRY: u64 = 3;

/// The text that a synthetic model continues.
pub struct PlantedText {
    /// Tokens along the cycle.
    order: Vec<u32>,
    /// Place of every token: of a word its own, of any other token the one before where it leads.
    places: Vec<u32>,
    /// Topic of every run.
    topics: Vec<u16>,
    /// Tokens outside the cycle by the place they are taken for.
    entries: HashMap<u32, Vec<u32>>,
    kinds: Kinds,
}

impl PlantedText {
    /// The text of a model with `vocab` rows in its embedding.
    pub fn new(vocab: usize, seed: u64) -> Self {
        let kinds = Kinds::of(vocab);
        let mut order: Vec<u32> = (kinds.first_word as u32..kinds.first_added as u32).collect();
        let mut stream = Stream::named(&[seed, ORDER]);
        for last in (1..order.len()).rev() {
            order.swap(last, stream.below(last + 1));
        }
        let mut places = vec![0; vocab];
        for (place, &token) in order.iter().enumerate() {
            places[token as usize] = place as u32;
        }
        let mut entries: HashMap<u32, Vec<u32>> = HashMap::new();
        for token in (0..kinds.first_word).chain(kinds.first_added..vocab) {
            let place = Stream::named(&[seed, ENTRY, token as u64]).below(order.len()) as u32;
            places[token] = place;
            entries.entry(place).or_default().push(token as u32);
        }
        let mut topics = Vec::new();
        let mut stream = Stream::named(&[seed, TOPIC]);
        for run in 0..order.len().div_ceil(RUN) {
            // Never the same topic twice in a row.
            let topic = match run {
                0 => stream.below(TOPICS),
                _ => (usize::from(topics[run - 1]) + 1 + stream.below(TOPICS - 1)) % TOPICS,
            };
            topics.push(topic as u16);
        }
        Self { order, places, topics, entries, kinds }
    }

    /// Words of the cycle.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Never: every vocabulary that is large enough has words.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The tokens at these places; the cycle begins again at its end.
    pub fn tokens(&self, places: Range<usize>) -> Vec<u32> {
        places.map(|place| self.order[place % self.order.len()]).collect()
    }

    /// The text at these places.
    pub fn text(&self, places: Range<usize>) -> String {
        let spec = vocabulary(self.places.len());
        let words =
            self.tokens(places).into_iter().map(|token| spec.vocab[token as usize].replace('\u{120}', " "));
        words.collect()
    }

    /// The token that follows, whatever the context.
    pub fn successor(&self, token: u32) -> u32 {
        self.order[(self.places[token as usize] as usize + 1) % self.order.len()]
    }

    /// The word before a word; `None` for tokens outside the cycle.
    pub(super) fn before(&self, token: usize) -> Option<u32> {
        self.is_word(token).then(|| self.order[self.place_before(token)])
    }

    /// Every token that leads to this one.
    pub(super) fn leading_to(&self, token: usize) -> impl Iterator<Item = u32> {
        let word = self.before(token);
        let entries = word.and_then(|_| self.entries.get(&(self.place_before(token) as u32)));
        word.into_iter().chain(entries.into_iter().flatten().copied())
    }

    /// The topic in which a token stands.
    pub(super) fn topic(&self, token: usize) -> u64 {
        u64::from(self.topics[self.places[token] as usize / RUN])
    }

    fn place_before(&self, token: usize) -> usize {
        (self.places[token] as usize + self.order.len() - 1) % self.order.len()
    }

    fn is_word(&self, token: usize) -> bool {
        (self.kinds.first_word..self.kinds.first_added).contains(&token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_leads_into_one_cycle_through_all_words() {
        let text = PlantedText::new(2048, 3);
        let kinds = Kinds::of(2048);
        assert_eq!(text.len(), kinds.first_added - kinds.first_word);
        let mut token = text.order[0];
        for step in 1..=text.len() {
            token = text.successor(token);
            assert_eq!(token == text.order[0], step == text.len());
        }
        for token in 0..2048u32 {
            let next = text.successor(token) as usize;
            assert!(text.leading_to(next).any(|leading| leading == token), "{token}");
        }
        assert_eq!(text.leading_to(0).count(), 0);
    }

    #[test]
    fn neighbouring_runs_differ_in_topic() {
        let text = PlantedText::new(20_000, 3);
        assert!(text.topics.len() > 20 && text.topics.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(text.topics.iter().all(|&topic| usize::from(topic) < TOPICS));
    }
}
