//! What became of what the model wanted: the one place where regret is told by its kinds. Words as in
//! ARCHITECTURE.md, section "Words and metrics".

use std::ops::{Add, Sub};

use hotset_base::Choice;

/// What became of a native expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Chosen, and hot when it was.
    Hit,
    /// Chosen, and not hot: waited for.
    Waited,
    /// Not chosen; another one is computed in its place.
    Substituted,
    /// Not chosen; nothing is computed in its place.
    Dropped,
}

/// The fate of each native expert, in the order of `native`: heaviest first.
///
/// As many were substituted as strangers were chosen; those of the largest mass count first. `hot`:
/// `[experts]`.
pub fn fates(native: &[Choice], chosen: &[Choice], hot: &[bool]) -> impl Iterator<Item = (Choice, Fate)> {
    let has = |set: &[Choice], expert| set.iter().any(|choice| choice.expert == expert);
    // The recorded native choice, the usual case of a replay, is one slice and has no strangers.
    let lossless = std::ptr::eq(native, chosen);
    let mut strangers = match lossless {
        true => 0,
        false => chosen.iter().filter(|choice| !has(native, choice.expert)).count(),
    };
    native.iter().map(move |&wanted| {
        let fate = if lossless || has(chosen, wanted.expert) {
            if hot[wanted.expert.index()] { Fate::Hit } else { Fate::Waited }
        } else if strangers > 0 {
            strangers -= 1;
            Fate::Substituted
        } else {
            Fate::Dropped
        };
        (wanted, fate)
    })
}

/// Native picks, and the native router mass that was in them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regret {
    /// Native picks.
    pub picks: u64,
    /// Their native mixing weights; those of one layer-token add up to 1 if the model normalises.
    pub mass: f64,
}

impl Add for Regret {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { picks: self.picks + other.picks, mass: self.mass + other.mass }
    }
}

impl Sub for Regret {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self { picks: self.picks - earlier.picks, mass: self.mass - earlier.mass }
    }
}

/// Native picks that were not hot or not chosen, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RegretByKind {
    /// Waited for.
    pub waited: Regret,
    /// Another one was computed in their place.
    pub substituted: Regret,
    /// Left out.
    pub dropped: Regret,
}

impl RegretByKind {
    /// Counts a native expert of this mass.
    pub fn count(&mut self, fate: Fate, mass: f64) {
        let kind = match fate {
            Fate::Hit => return,
            Fate::Waited => &mut self.waited,
            Fate::Substituted => &mut self.substituted,
            Fate::Dropped => &mut self.dropped,
        };
        kind.picks += 1;
        kind.mass += mass;
    }

    /// What was not computed.
    pub fn lost(&self) -> Regret {
        self.substituted + self.dropped
    }
}

impl Sub for RegretByKind {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            waited: self.waited - earlier.waited,
            substituted: self.substituted - earlier.substituted,
            dropped: self.dropped - earlier.dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotset_base::ExpertId;

    fn set(experts: &[u16]) -> Vec<Choice> {
        experts.iter().map(|&expert| Choice { expert: ExpertId(expert), weight: 0.25 }).collect()
    }

    #[test]
    fn the_heaviest_of_those_missing_were_substituted_and_the_rest_dropped() {
        let hot = [true, false, false, false, false, true];
        let told: Vec<Fate> =
            fates(&set(&[0, 1, 2, 3]), &set(&[0, 1, 5]), &hot).map(|(_, fate)| fate).collect();
        assert_eq!(told, [Fate::Hit, Fate::Waited, Fate::Substituted, Fate::Dropped]);
    }

    #[test]
    fn a_native_choice_substitutes_nothing_whether_or_not_it_is_the_same_slice() {
        let (native, hot) = (set(&[2, 0]), [false, false, true]);
        let of = |chosen: &[Choice]| fates(&native, chosen, &hot).map(|(_, fate)| fate).collect::<Vec<_>>();
        assert_eq!(of(&native), [Fate::Hit, Fate::Waited]);
        assert_eq!(of(&native.clone()), of(&native));
    }
}
