//! A share as a subset of endpoints: EndpointSlices carry no weights, so shares are made of *how many* endpoints
//! of each resource are listed.

use crate::hash::hash;

/// How many endpoints of each resource to list, lead first, when `listed` are listed now; an even spread over all
/// of them comes near to `shares` (any unit).
///
/// A share moves in steps of endpoints, so most shares are met only nearly. The error is put where it is harmless:
/// the lead never gets more than `SLACK` beyond its share, and what is listed stays as long as that holds and
/// the lead gets at most `STAY` less. So a slowly changing share makes few changes, and one at rest none.
#[must_use]
pub fn counts(shares: &[u16], available: &[u32], listed: &[u32]) -> Vec<u32> {
    let Some(wanted) = wanted(shares, available) else { return available.to_vec() };
    if stays(&wanted, available, listed) {
        return fullest(listed, available);
    }
    let choices = choices(&wanted, available);
    let lead = |counts: &[u32]| part(counts, 0);
    let safe = |counts: &&Vec<u32>| lead(counts) <= wanted[0] + SLACK;
    let moves = |counts: &[u32]| {
        listed.is_empty() || (0..counts.len()).any(|i| (part(counts, i) - part(listed, i)).abs() >= SMALLEST)
    };
    let worth = |counts: &&Vec<u32>| safe(counts) && moves(counts) && distance(counts, &wanted) <= STAY;
    let harmless = || {
        (fits(&wanted, available, listed) && lead(listed) <= wanted[0] + SLACK)
            .then(|| fullest(listed, available))
    };
    nearest(choices.iter().filter(worth), &wanted)
        .or_else(harmless)
        .or_else(|| nearest(choices.iter().filter(safe), &wanted))
        .or_else(|| nearest(choices.iter(), &wanted))
        .unwrap_or_else(|| available.to_vec())
}

/// The shares, in permille, that an even spread over `counts` endpoints comes to.
#[must_use]
pub fn realised(counts: &[u32]) -> Vec<u16> {
    crate::apportion::permille(&counts.iter().map(|&c| f64::from(c)).collect::<Vec<_>>())
}

/// Which endpoints to list: the `count` with the highest rendezvous hash. A larger count keeps every endpoint of
/// a smaller one, and membership changes move no endpoint that stays (Thaler and Ravishankar, 1998).
#[must_use]
pub fn pick<'a>(salt: &str, endpoints: &[&'a str], count: usize) -> Vec<&'a str> {
    let mut ranked: Vec<&str> = endpoints.to_vec();
    ranked.sort_by_key(|endpoint| (std::cmp::Reverse(hash(salt.as_bytes(), endpoint.as_bytes())), *endpoint));
    ranked.truncate(count);
    ranked.sort_unstable();
    ranked
}

/// Shares that differ by less than this are the same to a client.
const TOLERANCE: f64 = 0.004;

/// How much more than its share the lead may get from what is listed.
const SLACK: f64 = 0.05;

/// A change that moves nobody by as much as this is not worth the disturbance, unless the lead gets too much.
const SMALLEST: f64 = 0.08;

/// How much less than its share the lead may get before what is listed changes.
const STAY: f64 = 0.1;

/// Fractions of the endpoints that there are; `None` when none of them has a share.
fn wanted(shares: &[u16], available: &[u32]) -> Option<Vec<f64>> {
    let held = shares.iter().zip(available).map(|(&share, &n)| if n == 0 { 0.0 } else { f64::from(share) });
    let held: Vec<f64> = held.collect();
    let sum: f64 = held.iter().sum();
    (sum > 0.0).then(|| held.iter().map(|share| share / sum).collect())
}

/// Whether what is listed is there and all of it has a share.
fn fits(wanted: &[f64], available: &[u32], listed: &[u32]) -> bool {
    listed.len() == available.len()
        && listed.iter().any(|&count| count > 0)
        && listed.iter().zip(available).zip(wanted).all(|((&l, &a), &w)| l <= a && (l == 0 || w > 0.0))
}

fn stays(wanted: &[f64], available: &[u32], listed: &[u32]) -> bool {
    let lead = part(listed, 0) - wanted[0];
    fits(wanted, available, listed) && (-STAY..=SLACK).contains(&lead) && distance(listed, wanted) <= STAY
}

/// The same mix over as many endpoints as there are: pods that came are used, whatever the share does.
fn fullest(listed: &[u32], available: &[u32]) -> Vec<u32> {
    let unit = listed.iter().copied().fold(0, greatest_common_divisor).max(1);
    let mix = || listed.iter().map(|l| l / unit);
    let times = mix().zip(available).filter(|(part, _)| *part > 0).map(|(part, a)| a / part).min();
    mix().map(|part| part * times.unwrap_or(unit)).collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn part(counts: &[u32], i: usize) -> f64 {
    let sum: u32 = counts.iter().sum();
    if sum == 0 { 0.0 } else { f64::from(counts.get(i).copied().unwrap_or(0)) / f64::from(sum) }
}

fn nearest<'a>(choices: impl Iterator<Item = &'a Vec<u32>>, wanted: &[f64]) -> Option<Vec<u32>> {
    choices
        .map(|counts| (distance(counts, wanted), counts))
        .reduce(
            |best, other| if other.0 <= best.0 + TOLERANCE { (other.0.min(best.0), other.1) } else { best },
        )
        .map(|(_, counts)| counts.clone())
}

/// For every number of lead endpoints the two numbers of others that come nearest to the lead's share, split
/// between them by theirs.
fn choices(wanted: &[f64], available: &[u32]) -> Vec<Vec<u32>> {
    let Some((&lead, others)) = wanted.split_first() else { return Vec::new() };
    let room: u32 = available[1..].iter().zip(others).filter(|o| *o.1 > 0.0).map(|o| o.0).sum();
    let with = |endpoints: u32, elsewhere: u32| {
        let split = crate::apportion::whole(others, elsewhere);
        let split = split.iter().zip(&available[1..]).map(|(&n, &most)| n.min(most));
        std::iter::once(endpoints).chain(split).collect::<Vec<u32>>()
    };
    if lead <= 0.0 {
        return (1..=room).map(|elsewhere| with(0, elsewhere)).collect();
    }
    (1..=available[0])
        .flat_map(|endpoints| {
            let ideal = f64::from(endpoints) * (1.0 - lead) / lead;
            [ideal.floor(), ideal.ceil()].map(|elsewhere| with(endpoints, (elsewhere as u32).min(room)))
        })
        .collect()
}

fn distance(counts: &[u32], wanted: &[f64]) -> f64 {
    let sum: u32 = counts.iter().sum();
    if sum == 0 {
        return f64::INFINITY;
    }
    counts.iter().zip(wanted).map(|(&c, w)| (f64::from(c) / f64::from(sum) - w).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_become_counts_of_endpoints() {
        let cases: [(&[u16], &[u32], &[u32]); 6] = [
            (&[1000, 0, 0], &[4, 4, 4], &[4, 0, 0]),
            (&[800, 200, 0], &[4, 4, 4], &[4, 1, 0]),
            (&[500, 500, 0], &[4, 4, 4], &[4, 4, 0]),
            (&[500, 250, 250], &[4, 4, 4], &[4, 2, 2]),
            (&[0, 500, 500], &[4, 4, 4], &[0, 4, 4]),
            (&[500, 500, 0], &[4, 0, 4], &[4, 0, 0]),
        ];
        for (shares, available, expected) in cases {
            assert_eq!(counts(shares, available, &[]), expected, "{shares:?} of {available:?}");
        }
    }

    #[test]
    fn a_target_is_never_left_without_endpoints() {
        assert_eq!(counts(&[1000, 0], &[0, 3], &[]), [0, 3]);
        assert_eq!(counts(&[0, 0], &[2, 3], &[]), [2, 3]);
    }

    /// The lead's part of the endpoints, in permille, while its share goes through `path`; four pods a resource.
    fn follow(path: impl IntoIterator<Item = u16>) -> Vec<(u16, Vec<u32>)> {
        let mut listed = vec![4, 0, 0];
        path.into_iter()
            .map(|lead| {
                let elsewhere = 1000 - lead;
                let best = elsewhere.min(500);
                listed = counts(&[lead, best, elsewhere - best], &[4, 4, 4], &listed);
                (lead, listed.clone())
            })
            .collect()
    }

    #[test]
    fn a_share_that_slides_away_makes_few_changes_and_the_lead_never_gets_too_much() {
        let path = follow((400..=1000).rev());
        for (share, listed) in &path {
            assert!(realised(listed)[0] <= share + 51, "{share} is realised by {listed:?}");
        }
        let changes = path.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
        assert!((4..=6).contains(&changes), "{changes} changes: {path:?}");
    }

    #[test]
    fn a_share_that_trembles_changes_nothing() {
        let path = follow((0..50).map(|i| 640 + 20 * (i % 2)));
        assert!(path.windows(2).skip(1).all(|pair| pair[0].1 == pair[1].1), "{path:?}");
    }

    #[test]
    fn the_last_step_back_is_made_and_what_has_no_share_is_not_listed() {
        assert_eq!(counts(&[1000, 0, 0], &[4, 4, 4], &[4, 1, 0]), [4, 0, 0]);
        assert_eq!(counts(&[500, 0, 500], &[4, 4, 4], &[4, 4, 0]), [4, 0, 4]);
        assert_eq!(counts(&[0, 1000, 0], &[4, 4, 4], &[1, 4, 0]), [0, 4, 0]);
    }

    #[test]
    fn alternates_are_rebalanced_while_the_lead_keeps_its_share() {
        assert_eq!(counts(&[500, 250, 250], &[4, 4, 4], &[4, 4, 0]), [4, 2, 2]);
    }

    #[test]
    fn a_way_back_is_made_in_steps_that_are_worth_it() {
        let mut listed = vec![3, 1, 0];
        for lead in [800, 830, 860] {
            listed = counts(&[lead, 1000 - lead, 0], &[4, 4, 4], &listed);
            assert_eq!(listed, [3, 1, 0], "{lead}");
        }
        assert_eq!(counts(&[1000, 0, 0], &[4, 4, 4], &listed), [4, 0, 0]);
    }

    #[test]
    fn endpoints_that_are_gone_do_not_count_as_listed() {
        assert_eq!(counts(&[500, 500, 0], &[2, 4, 4], &[4, 4, 0])[0], 2);
        assert_eq!(counts(&[500, 500, 0], &[0, 4, 4], &[4, 4, 0])[0], 0);
    }

    #[test]
    fn pods_that_came_are_listed_in_the_same_mix() {
        assert_eq!(counts(&[1000, 0], &[4, 4], &[3, 0]), [4, 0]);
        assert_eq!(counts(&[800, 200], &[8, 4], &[4, 1]), [8, 2]);
        assert_eq!(counts(&[800, 200], &[5, 4], &[4, 1]), [4, 1]);
    }

    #[test]
    fn more_endpoints_keep_those_that_were_listed() {
        let all = ["a", "b", "c", "d", "e"];
        for count in 1..all.len() {
            let fewer = pick("route", &all, count);
            let more = pick("route", &all, count + 1);
            assert!(fewer.iter().all(|e| more.contains(e)));
        }
    }

    proptest! {
        #[test]
        fn counts_stay_within_what_is_there(
            parts in prop::collection::vec((0u16..1000, 0u32..12), 1..8)
        ) {
            let (shares, available): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            let counts = counts(&shares, &available, &[]);
            prop_assert!(counts.iter().zip(&available).all(|(c, a)| c <= a));
            prop_assert_eq!(counts.iter().sum::<u32>() == 0, available.iter().sum::<u32>() == 0);
        }

        #[test]
        fn with_many_endpoints_a_share_is_met_within_two_points(a in 0u16..=1000) {
            let counts = counts(&[a, 1000 - a], &[50, 50], &[]);
            prop_assert!((i32::from(realised(&counts)[0]) - i32::from(a)).abs() <= 20);
        }
    }
}
