//! What became of what the model wanted: the one place where regret is told by its kinds. Words as in
//! ARCHITECTURE.md.

use hotset_base::Choice;
use hotset_base::figures::RoutingTotals;

/// What became of a native expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
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
fn fates(native: &[Choice], chosen: &[Choice], hot: &[bool]) -> impl Iterator<Item = (Choice, Fate)> {
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

/// Counts one row of a layer. `native` and `chosen` are its sets, the mass of a native pick is its weight /
/// `whole`. `hot`: `[experts]`.
pub fn count(totals: &mut RoutingTotals, (native, chosen): (&[Choice], &[Choice]), hot: &[bool], whole: f64) {
    totals.routed_picks += chosen.len() as u64;
    totals.hot_picks += chosen.iter().filter(|choice| hot[choice.expert.index()]).count() as u64;
    for (wanted, fate) in fates(native, chosen, hot) {
        let mass = f64::from(wanted.weight) / whole;
        totals.native_picks += 1;
        totals.native_mass += mass;
        totals.agreed_picks += u64::from(matches!(fate, Fate::Hit | Fate::Waited));
        totals.missed_picks += u64::from(!hot[wanted.expert.index()]);
        let regret = &mut totals.regret;
        let kind = match fate {
            Fate::Hit => continue,
            Fate::Waited => &mut regret.waited,
            Fate::Substituted => &mut regret.substituted,
            Fate::Dropped => &mut regret.dropped,
        };
        kind.picks += 1;
        kind.mass += mass;
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
