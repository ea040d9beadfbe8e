//! Anything at all goes in; nothing panics, and what comes out are numbers within their ranges.
//!
//! `FUZZ_CASES` says how many cases are tried in all (20,000 where it is not set).

use std::{env, time::Duration};

use foreshift_engine::{
    assign::{Candidates, Outcome, Tick, Ticket, assign_entry},
    decision::Phase,
    impact::{Impacts, MOST_CLASSES},
    plan::{Input, Memory, plan},
    policy::Policy,
    resource::Readiness,
    shadow::{Hold, Observation, Purpose, Shadow, Trial, held_back_by, is_copied},
    subset, work,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::worlds::{World, number, policy, world};

/// Runs one of the three targets with its third of the cases.
fn fuzz<S: Strategy>(input: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let all =
        env::var("FUZZ_CASES").ok().map_or(20_000, |cases| cases.parse().expect("FUZZ_CASES is a count"));
    let config = Config { cases: u32::div_ceil(all, 3), failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(input, test).unwrap_or_else(|failure| panic!("{failure}"));
}

/// What may happen to entries.
#[derive(Clone, Debug)]
enum Event {
    Tick(Box<World>, Policy, Vec<f64>),
    Entry { class: usize, prior: f64, tried: Vec<usize> },
    End { entry: prop::sample::Index, outcome: Outcome },
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![Just(Outcome::Acknowledged), Just(Outcome::Failed), Just(Outcome::Cancelled)];
    prop_oneof![
        1 => (world(), policy(), prop::collection::vec(number(), 0..5))
            .prop_map(|(world, policy, warm)| Event::Tick(Box::new(world), policy, warm)),
        6 => (0_usize..40, number(), prop::collection::vec(0_usize..6, 0..3))
            .prop_map(|(class, prior, tried)| Event::Entry { class, prior, tried }),
        5 => (any::<prop::sample::Index>(), outcome).prop_map(|(entry, outcome)| Event::End { entry, outcome }),
        2 => prop_oneof![0_u64..100, any::<u64>()].prop_map(Event::Wait),
    ]
}

#[test]
fn plans() {
    fuzz(&(world(), world(), policy()), |(one, two, policy)| {
        let mut memory = Memory::default();
        for (lead, alternates, outlook, unseen, now) in [&one, &two, &one] {
            let input = Input {
                now: Duration::from_secs(*now),
                lead,
                alternates,
                outlook,
                unseen,
                in_force: &[400, 300, 300],
                age: Duration::from_secs(now % 400),
                policy: &policy,
            };
            let (decision, next) = plan(&input, memory);
            memory = next;
            prop_assert_eq!(decision.shares.iter().map(|s| u32::from(s.permille)).sum::<u32>(), 1000);
            for share in &decision.shares {
                prop_assert!(
                    share.predicted.is_finite()
                        && (0.0..=100.0).contains(&share.score)
                        && (work::LEAST..=work::MOST).contains(&share.work),
                    "{:?}",
                    share
                );
            }
            let shares: Vec<u16> = decision.shares.iter().map(|s| s.permille).collect();
            let available: Vec<u32> = [lead].into_iter().chain(alternates).map(|r| r.endpoints).collect();
            let listed = subset::counts(&shares, &available, &available);
            prop_assert!(listed.iter().zip(&available).all(|(listed, there)| listed <= there));
        }
        Ok(())
    });
}

#[test]
fn entries() {
    fuzz(&prop::collection::vec(event(), 1..40), |events| {
        let (mut candidates, mut impacts) = (Candidates::default(), Impacts::default());
        let mut in_flight: Vec<(usize, f64, Ticket)> = vec![];
        let (mut now, mut places) = (Duration::ZERO, 0);
        for event in events {
            match event {
                Event::Tick(world, policy, warm) => {
                    let (lead, alternates, _, unseen, at): &World = &world;
                    let tick = Tick {
                        now,
                        lead,
                        alternates,
                        present: &[500, 100],
                        warm: &warm,
                        unseen,
                        part: *at as f64 / 1e19,
                        policy: &policy,
                    };
                    impacts.fade(now);
                    candidates.prepare(&tick, MOST_CLASSES, |class, place| impacts.affinity(class, place));
                    places = 5;
                }
                Event::Entry { class, prior, tried } => {
                    let class = impacts.admit(&format!("class-{class}"), now);
                    let impact = |resource| impacts.predict(class, resource, prior);
                    let chosen = assign_entry(&candidates, class, now, impact, &tried);
                    prop_assert!(chosen.resource < places.max(1) + in_flight.len(), "{:?}", chosen);
                    in_flight.push((
                        class,
                        prior,
                        candidates.start(chosen.resource, impact(chosen.resource), now),
                    ));
                }
                Event::End { entry, outcome } if !in_flight.is_empty() => {
                    let (class, prior, ticket) = in_flight.swap_remove(entry.index(in_flight.len()));
                    let service = candidates.finish(ticket, outcome, now);
                    prop_assert!(service.is_none_or(|seconds| seconds >= 0.0), "{:?}", service);
                    impacts.observe(class, 1, prior, service, now);
                    prop_assert!((0.0..=100.0).contains(&impacts.affinity(class, 1)));
                    prop_assert!(impacts.predict(class, 1, prior) >= 0.0);
                }
                Event::End { .. } => {}
                Event::Wait(ms) => now = Duration::from_millis(ms),
            }
        }
        Ok(())
    });
}

#[test]
fn shadows() {
    let numbers = (any::<u64>(), any::<u64>(), number(), any::<u32>(), number(), number());
    let seen = prop::collection::vec((any::<bool>(), prop::option::of(prop::num::f64::ANY)), 0..40);
    fuzz(&(numbers, seen, world(), policy(), any::<u64>()), |(numbers, seen, world, policy, now)| {
        let (every, duration, percent, min_entries, max_error_ratio, max_latency_ratio) = numbers;
        let (every, duration) = (Duration::from_nanos(every), Duration::from_nanos(duration));
        let shadow = Shadow {
            every,
            duration,
            percent,
            min_entries: min_entries % 40,
            max_error_ratio,
            max_latency_ratio,
            required: false,
        };
        let now = Duration::from_nanos(now);
        if let Some(window) = shadow.window(now, every.as_secs()) {
            prop_assert!(window.since <= now && now < window.until, "{:?}", window);
        }
        let _: bool = is_copied(&now.as_nanos().to_le_bytes(), shadow.percent);
        let mut trial = Trial::default();
        for (copy, latency) in seen {
            trial.observe(if copy { Observation::Copy(latency) } else { Observation::Original(latency) });
        }
        let verdict = trial.judge(&shadow, now);
        prop_assert!(verdict.excess_errors.low <= verdict.excess_errors.high, "{:?}", verdict);
        prop_assert!(verdict.latency_ratio.low <= verdict.latency_ratio.high, "{:?}", verdict);
        let later = shadow.readiness(Some(&verdict), now.saturating_add(every));
        prop_assert!(later == verdict.readiness || later == Readiness::Inconclusive, "{:?}", verdict);
        for alternate in &world.1 {
            let held = held_back_by(Purpose::Trial, Phase::Shifting, alternate, &policy);
            prop_assert!(matches!(held, Some(Hold::Shifting | Hold::Unavailable)), "{:?}", alternate);
        }
        Ok(())
    });
}
