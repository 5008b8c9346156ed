//! Families: a partition of bounded groups that does not depend on the numbering of experts.

use hotset_base::{ExpertId, Families, LabelError};
use hotset_policy::families::{Affinity, CoActivation, cluster};
use proptest::prelude::*;

const HIDDEN: usize = 12;

/// Random rows of one layer's router.
fn rows(experts: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<f32>> {
    experts.prop_flat_map(|experts| prop::collection::vec(-1.0f32..1.0, experts * HIDDEN))
}

/// Rows beside a shuffled list of their numbers.
fn shuffled() -> impl Strategy<Value = (Vec<f32>, Vec<usize>)> {
    rows(2usize..40).prop_flat_map(|rows| {
        let numbers: Vec<usize> = (0..rows.len() / HIDDEN).collect();
        (Just(rows), Just(numbers).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_expert_is_in_one_family_and_none_is_too_large(rows in rows(1usize..60), size in 1usize..12) {
        let families = cluster(&Affinity::cosine(&rows, HIDDEN), size);
        let mut order: Vec<ExpertId> = families.order().collect();
        prop_assert!(families.members().iter().all(|members| (1..=size).contains(&members.len())));
        order.sort();
        let all: Vec<ExpertId> = (0..(rows.len() / HIDDEN) as u16).map(ExpertId).collect();
        prop_assert_eq!(order, all);
        // No two could still be joined.
        let mut sizes: Vec<usize> = families.members().iter().map(Vec::len).collect();
        sizes.sort_unstable();
        prop_assert!(sizes.len() < 2 || sizes[0] + sizes[1] > size);
        prop_assert_eq!(&Families::from_labels(families.labels()).unwrap(), &families);
        prop_assert_eq!(&cluster(&Affinity::cosine(&rows, HIDDEN), size), &families);
    }

    #[test]
    fn numbering_the_experts_otherwise_changes_nothing((rows, numbers) in shuffled(), size in 1usize..10) {
        let moved: Vec<f32> =
            numbers.iter().flat_map(|&old| rows[old * HIDDEN..][..HIDDEN].to_vec()).collect();
        let here = cluster(&Affinity::cosine(&rows, HIDDEN), size);
        let there = cluster(&Affinity::cosine(&moved, HIDDEN), size);
        let id = |i: usize| ExpertId(i as u16);
        for a in 0..numbers.len() {
            for b in 0..numbers.len() {
                prop_assert_eq!(there.together(id(a), id(b)), here.together(id(numbers[a]), id(numbers[b])));
            }
        }
    }
}

/// Expert `e` points where `e % 4` points, a little off; all have much in common.
fn four_directions() -> Vec<f32> {
    let weight = |expert: usize, column: usize| {
        let own = if column == expert % 4 { 1.0 } else { 0.0 };
        5.0 + own + 0.01 * ((expert * 7 + column * 3) % 5) as f32
    };
    (0..16).flat_map(|expert| (0..HIDDEN).map(move |column| weight(expert, column))).collect()
}

#[test]
fn experts_that_point_one_way_are_a_family() {
    let families = cluster(&Affinity::cosine(&four_directions(), HIDDEN), 8);
    for a in 0..16 {
        for b in 0..16 {
            let together = families.together(ExpertId(a), ExpertId(b));
            assert!(a % 4 != b % 4 || together, "{a} and {b}");
        }
    }
    assert_eq!(cluster(&Affinity::cosine(&four_directions(), HIDDEN), 4).members().len(), 4);
}

#[test]
fn rows_of_nothing_are_grouped_without_a_panic() {
    let flat = cluster(&Affinity::cosine(&[0.0; 5 * HIDDEN], HIDDEN), 2);
    assert_eq!(flat.labels(), [0, 0, 1, 1, 2]);
    let mut damaged = four_directions();
    damaged[3] = f32::NAN;
    assert_eq!(cluster(&Affinity::cosine(&damaged, HIDDEN), 4).order().count(), 16);
}

#[test]
fn labels_of_a_file_are_checked() {
    assert_eq!(Families::from_labels(&[0, 1, 0, 2]).unwrap().members().len(), 3);
    assert_eq!(Families::from_labels(&[0, 2]), Err(LabelError::Order(ExpertId(1), 2)));
    assert_eq!(Families::from_labels(&[1]), Err(LabelError::Order(ExpertId(0), 1)));
    assert!(Families::from_labels(&[0; 1024]).is_ok());
    assert_eq!(Families::from_labels(&[0; 1025]), Err(LabelError::TooMany(1025)));
}

#[test]
fn what_is_chosen_together_becomes_a_family_and_has_a_lift() {
    let mut seen = CoActivation::new(8);
    let mut alike = CoActivation::new(8);
    for token in 0..64u16 {
        // Pairs 0 4, 1 5, 2 6, 3 7 in turn; against any two.
        seen.add([token % 4, token % 4 + 4].into_iter().map(ExpertId));
        let (a, step) = (token % 8, 1 + token / 8 % 7);
        alike.add([a, (a + step) % 8].into_iter().map(ExpertId));
    }
    let families = cluster(&seen.affinity(), 2);
    assert_eq!(families.labels(), [0, 1, 2, 3, 0, 1, 2, 3]);
    let lift = seen.lift(&families);
    assert_eq!((lift.within, lift.between), (4.0, 0.0));
    let ratio = alike.lift(&families).ratio().unwrap();
    assert!((0.5..1.5).contains(&ratio), "{ratio}");
    let rows = Affinity::of(8, |a, b| if a / 2 == b / 2 { 1.0 } else { 0.0 });
    assert_eq!(cluster(&rows.blend(&seen.affinity(), 0.0), 2), cluster(&rows, 2));
    assert_eq!(cluster(&rows.blend(&seen.affinity(), 1.0), 2), families);
}
