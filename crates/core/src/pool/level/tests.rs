use super::*;
use proptest::prelude::*;

fn percent(levels: &[(u64, u64)]) -> Vec<u64> {
    let rounded = |part: u64| (part * 100 + WHOLE / 2) / WHOLE;
    shares(levels.iter().copied(), 140).into_iter().map(rounded).collect()
}

#[test]
fn the_shares_of_envoys_documentation() {
    // envoyproxy.io, "Priority levels": P=0 healthy, P=1 healthy → traffic.
    for (levels, expected) in [
        (vec![(100, 100), (100, 100)], vec![100, 0]),
        (vec![(72, 100), (72, 100)], vec![100, 0]),
        (vec![(71, 100), (71, 100)], vec![99, 1]),
        (vec![(50, 100), (50, 100)], vec![70, 30]),
        (vec![(25, 100), (100, 100)], vec![35, 65]),
        (vec![(0, 100), (100, 100)], vec![0, 100]),
        (vec![(20, 100), (20, 100), (10, 100)], vec![40, 40, 20]),
        (vec![(25, 100), (25, 100)], vec![50, 50]),
    ] {
        assert_eq!(percent(&levels), expected, "{levels:?}");
    }
}

#[test]
fn levels_that_stand_better_go_first() {
    let standing = |tier, usable| Standing { tier, usable, total: 2 };
    let (healthy, starting) = (Ok(Tier::Healthy), Ok(Tier::Starting));
    let down = Err(NoEndpoint::AllUnhealthy);
    let gets = |levels: &[Standing]| {
        let shares = Shares::between(levels, 140);
        (0..levels.len()).map(|place| (shares.of(place) * 100 + WHOLE / 2) / WHOLE).collect::<Vec<_>>()
    };
    assert_eq!(gets(&[standing(starting, 2), standing(healthy, 1)]), [0, 100]);
    assert_eq!(gets(&[standing(starting, 1), standing(starting, 2)]), [70, 30]);
    assert_eq!(
        gets(&[standing(down, 0), standing(Ok(Tier::Evacuated), 2), standing(Ok(Tier::Backup), 1)]),
        [0, 0, 100]
    );
    assert_eq!(gets(&[standing(down, 0), standing(Ok(Tier::Evacuated), 2)]), [0, 100]);
    assert_eq!(Shares::between(&[standing(down, 0), standing(down, 0)], 140), Shares::default());
}

#[test]
fn a_number_falls_on_a_level_by_its_share() {
    let shares = Shares(vec![(WHOLE / 4, 0), (WHOLE, 3)]);
    let quarter = u64::MAX / 4;
    assert_eq!([0, quarter - 1, quarter + 1, u64::MAX].map(|random| shares.choose(random)), [0, 0, 3, 3]);
}

/// Up to eight levels of up to 1,000 weight, some of it usable.
fn levels() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let level = (0..=1_000_u64).prop_flat_map(|total| (0..=total, Just(total)));
    let edges = prop_oneof![Just((0, 0)), Just((0, 7)), Just((5, 5)), Just((u64::MAX, u64::MAX))];
    prop::collection::vec(prop_oneof![4 => level, 1 => edges], 0..8)
}

proptest! {
    #[test]
    fn all_traffic_goes_somewhere_while_anybody_is_usable(levels in levels(), factor in 100..10_000_u32) {
        let parts = shares(levels.iter().copied(), factor);
        let usable = levels.iter().any(|(usable, _)| *usable > 0);
        prop_assert_eq!(parts.iter().sum::<u64>(), if usable { WHOLE } else { 0 });
        for (part, (usable, _)) in parts.iter().zip(&levels) {
            prop_assert!(*usable > 0 || *part == 0, "a level that is down got {}", part);
        }
    }

    #[test]
    fn overflow_is_proportional(levels in levels(), factor in 100..10_000_u32) {
        let parts = shares(levels.iter().copied(), factor);
        let takes: Vec<u64> = levels.iter().map(|(usable, total)| capacity(*usable, *total, factor)).collect();
        if takes.iter().map(|take| u128::from(*take)).sum::<u128>() >= u128::from(WHOLE) {
            // The first levels are full, the next one gets the rest, and nobody behind it anything.
            let mut left = WHOLE;
            for (part, take) in parts.iter().zip(&takes) {
                prop_assert_eq!(*part, left.min(*take));
                left -= part;
            }
        } else {
            // Nobody is starved: all take in proportion to what they can, but for the rounding.
            let taken: u64 = takes.iter().sum();
            for (part, take) in parts.iter().zip(&takes) {
                let exact = u128::from(*take) * u128::from(WHOLE) / u128::from(taken.max(1));
                prop_assert!(u128::from(*part).abs_diff(exact) <= 8, "{} of {}", part, exact);
            }
        }
    }

    #[test]
    fn what_a_level_loses_goes_to_those_behind_it(levels in levels(), lost in 0..8_usize) {
        let mut less = levels.clone();
        let Some(level) = less.get_mut(lost) else { return Ok(()) };
        level.0 /= 2;
        let takes = |levels: &[(u64, u64)]| {
            levels.iter().map(|(usable, total)| u128::from(capacity(*usable, *total, 140))).sum::<u128>()
        };
        if takes(&less) >= u128::from(WHOLE) {
            let (before, after) = (shares(levels.iter().copied(), 140), shares(less.iter().copied(), 140));
            prop_assert_eq!(&before[..lost], &after[..lost]);
            prop_assert!(after[lost] <= before[lost]);
        }
    }
}
