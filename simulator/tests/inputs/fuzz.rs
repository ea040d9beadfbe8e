//! Spoilt scenarios and traces: read, or refused with the file and what was expected; never a panic.
//!
//! `FUZZ_CASES` is what the laws of the engine get (20,000 where it is not set); a tenth as many are tried here.

use std::{env, path::Path};

use foreshift_simulator::{
    error::Error,
    fleet::Layout,
    scenario::Scenario,
    source::{Drawn, SECOND, Source as _, Trace},
};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};

use super::{HEADER, SCENARIO};

/// What stands where something sound should be.
const STRANGE: [&str; 32] = [
    "",
    "-1",
    "0",
    "-0.0",
    ".nan",
    ".inf",
    "-.inf",
    "1e400",
    "1e-400",
    "18446744073709551616",
    "4294967296",
    "65536",
    "0x10",
    "null",
    "~",
    "true",
    "yes",
    "[]",
    "{}",
    "[[[[[[[[",
    "{{{{",
    "- -",
    "&a [*a]",
    "*a",
    "!!binary x",
    "\"",
    "'",
    "\t",
    "\u{0}",
    "\u{feff}",
    "999999999h",
    "\u{1f4a9}",
];

fn fuzz<S: Strategy>(input: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let all: u32 =
        env::var("FUZZ_CASES").ok().map_or(20_000, |cases| cases.parse().expect("FUZZ_CASES is a count"));
    let config = Config { cases: u32::div_ceil(all, 20), failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(input, test).unwrap_or_else(|failure| panic!("{failure}"));
}

/// What is done to a text.
#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, String),
    Insert(Index, String),
    RemoveLine(Index),
    RepeatLine(Index),
    SwapLines(Index, Index),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let strange = || prop_oneof![4 => select(&STRANGE[..]).prop_map(str::to_owned), 1 => "\\PC{0,12}"];
    let index = any::<Index>;
    let one = prop_oneof![
        6 => (index(), strange()).prop_map(|(at, with)| Damage::Replace(at, with)),
        2 => (index(), strange()).prop_map(|(at, with)| Damage::Insert(at, with)),
        1 => index().prop_map(Damage::RemoveLine),
        1 => index().prop_map(Damage::RepeatLine),
        1 => (index(), index()).prop_map(|(a, b)| Damage::SwapLines(a, b)),
        1 => index().prop_map(Damage::Cut),
    ];
    prop::collection::vec(one, 1..4)
}

/// Where words and numbers of a text are.
fn words(text: &str) -> Vec<(usize, usize)> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let mut words = Vec::new();
    let mut begun = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (inside(c), begun) {
            (true, None) => begun = Some(at),
            (false, Some(from)) => {
                words.push((from, at));
                begun = None;
            }
            _ => {}
        }
    }
    words
}

fn spoil(text: &mut String, damage: &Damage) {
    let boundary = |text: &str, at: &Index| {
        let at = at.index(text.len() + 1);
        (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default()
    };
    let lines = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    match damage {
        Damage::Replace(at, with) => {
            let words = words(text);
            if !words.is_empty() {
                let (from, to) = *at.get(&words);
                text.replace_range(from..to, with);
            }
        }
        Damage::Insert(at, with) => {
            let at = boundary(text, at);
            text.insert_str(at, with);
        }
        Damage::Cut(at) => {
            let at = boundary(text, at);
            text.truncate(at);
        }
        Damage::RemoveLine(_) | Damage::RepeatLine(_) | Damage::SwapLines(..) if text.is_empty() => {}
        Damage::RemoveLine(at) => {
            let mut lines = lines(text);
            lines.remove(at.index(lines.len()));
            *text = lines.concat();
        }
        Damage::RepeatLine(at) => {
            let mut lines = lines(text);
            let at = at.index(lines.len());
            lines.insert(at, lines[at].clone());
            *text = lines.concat();
        }
        Damage::SwapLines(a, b) => {
            let mut lines = lines(text);
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
            *text = lines.concat();
        }
    }
}

/// What is refused is told by the file and what was expected there.
fn is_told(error: &Error, file: &str) -> Result<(), TestCaseError> {
    let told = error.to_string();
    prop_assert!(told.starts_with(file) && told.contains("; expected "), "{}", told);
    Ok(())
}

#[test]
fn scenarios() {
    fuzz(&damage(), |damages| {
        let mut text = SCENARIO.to_owned();
        for damage in &damages {
            spoil(&mut text, damage);
        }
        match Scenario::parse(Path::new("s.yaml"), &text) {
            Err(error) => is_told(&error, "s.yaml")?,
            Ok(scenario) => {
                // What is accepted can be laid out, and its entries can be drawn.
                let settle = scenario.settle.get().as_secs();
                let layout = Layout::new(&scenario, settle);
                prop_assert!(layout.resources.iter().all(|r| r.capacity.is_finite() && r.capacity > 0.0));
                for route in 0..layout.pools.len() {
                    let mut drawn = Drawn::new(&scenario, route, settle, 1).unwrap();
                    let mut entries = Vec::new();
                    if drawn.rate(-(settle as f64)) < 10_000.0 {
                        drawn.until(SECOND, &mut entries).unwrap();
                    }
                    prop_assert!(entries.iter().all(|entry| entry.work > 0.0 && entry.at < SECOND));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn traces() {
    let scenario = Scenario::parse(Path::new("s.yaml"), SCENARIO).unwrap();
    let row = |i| format!("{},order,shop,ledger,{},1\n", 1000 + i * 40, i * 500);
    let sound = (0..8).map(row).collect::<Vec<String>>().concat();
    let bytes = prop::option::weighted(0.2, (any::<Index>(), any::<u8>()));
    fuzz(&(damage(), bytes), |(damages, byte)| {
        let mut text = format!("{HEADER}{sound}");
        for damage in &damages {
            spoil(&mut text, damage);
        }
        let mut bytes = text.into_bytes();
        if let Some((at, byte)) = byte.filter(|_| !bytes.is_empty()) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut entries = Vec::new();
        let read = Trace::new(Path::new("t.csv"), &bytes[..], &scenario, 1)
            .and_then(|mut trace| trace.until(u64::MAX, &mut entries));
        if let Err(error) = read {
            is_told(&error, "t.csv")?;
        }
        prop_assert!(entries.is_sorted_by_key(|entry| entry.at), "{:?}", entries);
        prop_assert!(entries.iter().all(|entry| entry.work.is_finite() && entry.work > 0.0));
        Ok(())
    });
}
