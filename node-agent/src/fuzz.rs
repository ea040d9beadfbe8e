//! What the fuzz tests of the parsers share: how many cases, how input is disfigured, and what must hold of a persona.
//!
//! `FUZZ_CASES` says how many cases are tried in all (20,000 where it is not set), as for the laws of the engine.

use std::env;

use foreshift_engine::persona::load::LOAD_MAX;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::persona::{Persona, STATUS_BYTES, Surroundings};

/// Runs one of the three targets with its third of the cases.
pub(crate) fn fuzz<S: Strategy>(input: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let all = env::var("FUZZ_CASES").map_or(20_000, |cases| cases.parse().expect("FUZZ_CASES is a count"));
    let config = Config { cases: u32::div_ceil(all, 3), failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(input, test).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A number as text, and what may stand where one belongs.
pub(crate) fn number() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "0",
        "-1",
        "max",
        "NaN",
        "+Inf",
        "-Inf",
        "1e308",
        "-0.0",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854771712",
        "",
        " ",
        "0x10",
        "1_000",
        "\u{661}",
    ]);
    prop_oneof![
        6 => (0_u64..2_000_000).prop_map(|number| number.to_string()),
        2 => any::<u64>().prop_map(|number| number.to_string()),
        2 => any::<f64>().prop_map(|number| format!("{number:e}")),
        3 => odd.prop_map(str::to_owned),
    ]
}

/// `sound` with other numbers in it, cut off, garbled or replaced by anything.
pub(crate) fn disfigured(sound: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let numbers = prop::collection::vec(number(), 1..8);
    prop_oneof![
        6 => numbers.prop_map(move |numbers| with_numbers(sound, &numbers).into_bytes()),
        1 => any::<prop::sample::Index>().prop_map(move |end| sound.as_bytes()[..end.index(sound.len() + 1)].to_vec()),
        1 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(move |(at, byte)| {
            let mut bytes = sound.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        1 => prop::collection::vec(any::<u8>(), 0..100),
        1 => Just(Vec::new()),
    ]
}

/// Every run of digits in `sound` is replaced, by each of `numbers` in turn.
fn with_numbers(sound: &str, numbers: &[String]) -> String {
    let mut text = String::with_capacity(sound.len());
    let (mut next, mut in_number) = (numbers.iter().cycle(), false);
    for c in sound.chars() {
        if !c.is_ascii_digit() {
            text.push(c);
        } else if !in_number {
            text.extend(next.next().map(String::as_str));
        }
        in_number = c.is_ascii_digit();
    }
    text
}

/// The persona can be told of: every score is one, the load is a load, the status fits and survives being written.
pub(crate) fn is_sound(
    persona: &mut Persona,
    surroundings: &Surroundings,
) -> Result<Vec<Condition>, TestCaseError> {
    let Some(report) = persona.report(surroundings) else { return Ok(Vec::new()) };
    let scores = report.status.scores.expect("every report has scores");
    for score in [scores.capacity, scores.stability, scores.affinity, scores.cost] {
        prop_assert!((0..=100).contains(&score), "{scores:?}");
    }
    let row = report.status.affinity.iter().find(|row| !(0..=100).contains(&row.score));
    prop_assert!(row.is_none(), "{row:?}");
    prop_assert!((0.0..=LOAD_MAX).contains(&report.snapshot.load), "{}", report.snapshot.load);
    let json = serde_json::to_vec(&report.status).expect("a status can be written");
    prop_assert!(json.len() <= STATUS_BYTES, "{} bytes", json.len());
    let again: foreshift_api::ResourcePersonaStatus = serde_json::from_slice(&json).expect("and read");
    prop_assert_eq!(&again, &report.status);
    Ok(report.status.conditions)
}
