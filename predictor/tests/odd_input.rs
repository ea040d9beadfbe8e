//! Odd series and odd entries before `foreshift-predictor evaluate` and `evaluate-impact`: judged with a word on what was odd
//! and where, or refused with the file and what to write instead; never figures that are no numbers.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// What the program is to say, and whether it ends well.
type Expected = (bool, &'static [&'static str]);

/// Runs the program; gives whether it ended well, and what it told.
fn run(arguments: &[&str]) -> (bool, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_foreshift-predictor")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.success(), text(done.stdout), text(done.stderr))
}

/// Runs it for people and for programs, and holds what either is told.
fn hold(name: &str, path: &Path, arguments: &[&str], (well, sentences): Expected) {
    for format in ["table", "json"] {
        let (ended_well, told, error) = run(&[arguments, &["--format", format]].concat());
        assert_eq!(ended_well, well, "{name}: {told}{error}");
        if well {
            assert!(error.is_empty(), "{name}: {error}");
            let lower = told.to_lowercase();
            let words: Vec<&str> = lower.split_whitespace().collect();
            assert!(!words.iter().any(|word| ["nan", "inf", "-inf"].contains(word)), "{name}: {told}");
            assert!(format == "table" || serde_json::from_str::<Value>(&told).is_ok(), "{name}: {told}");
        } else {
            assert!(told.is_empty() && error.contains(&path.display().to_string()), "{name}: {told}{error}");
            assert!(!error.contains("panicked"), "{name}: {error}");
        }
        for sentence in sentences {
            assert!(told.contains(sentence) || error.contains(sentence), "{name}: {sentence}: {told}{error}");
        }
    }
}

fn written(folder: &TempDir, text: impl AsRef<[u8]>) -> std::path::PathBuf {
    let path = folder.path().join("odd.csv");
    fs::write(&path, text).unwrap();
    path
}

/// A line a step of 15 s, each with what `value` says; nothing for a step that is missing.
fn series(steps: u32, value: impl Fn(u32) -> Option<String>) -> String {
    let line = |step: u32| Some(format!("{},{}\n", 893_971_800 + 15 * step, value(step)?));
    std::iter::once("timestamp,value\n".to_owned()).chain((0..steps).filter_map(line)).collect()
}

/// A load that goes up and down.
fn wave(step: u32) -> f64 {
    0.5 + 0.3 * (f64::from(step) / 7.0).sin()
}

/// A wave with something else in every fiftieth step.
fn spoilt(with: &str) -> String {
    series(600, |step| Some(if step % 50 == 20 { with.to_owned() } else { wave(step).to_string() }))
}

#[test]
fn a_series_is_judged_or_refused_and_what_is_odd_is_said_with_its_lines() {
    let backwards = {
        let text = series(600, |step| Some(wave(step).to_string()));
        let mut lines: Vec<&str> = text.lines().collect();
        lines[1..].reverse();
        lines.join("\n")
    };
    let twice = series(600, |step| Some(wave(step).to_string())).replace('\n', "\n\n");
    let twice: String = twice.lines().flat_map(|line| [line, "\n", line, "\n"]).skip(2).collect();
    let hole = series(300, |step| Some(wave(step).to_string()))
        + "1893456000,0.5\n"
        + &series(300, |step| Some(wave(step).to_string()))
            .replace("89397", "189397")
            .replace("timestamp,value\n", "");
    let cases: Vec<(&str, Vec<u8>, Expected)> = vec![
        (
            "constant",
            series(600, |_| Some("0.5".into())).into(),
            (true, &["constant: every value", "never move"]),
        ),
        ("all zero", series(600, |_| Some("0".into())).into(), (true, &["constant: every value"])),
        ("empty", Vec::new(), (false, &["no line holds a time and a number", "write lines like"])),
        ("a header alone", b"timestamp,value\n".into(), (false, &["write lines like"])),
        (
            "words",
            b"timestamp,value\nnever,none\n".into(),
            (false, &["no time and number: line 2", "write lines like"]),
        ),
        ("another header", b"when;what\n1;2\n".into(), (false, &["no column `timestamp`", "rename"])),
        ("one value", b"893971800,0.5\n".into(), (true, &["too short to be scored: 150 samples"])),
        ("two values", b"893971800,0.5\n893971815,0.7\n".into(), (true, &["too short to be scored"])),
        (
            "gaps",
            series(600, |step| (step % 50 != 20).then(|| wave(step).to_string())).into(),
            (true, &["gaps: 12 of 600 steps are missing, before line 22, 71, 120, 169, 218 and 7 more"]),
        ),
        (
            "mostly gaps",
            series(600, |step| (step % 4 == 0).then(|| wave(step).to_string())).into(),
            (false, &["the samples lie 60 s apart", "give --period 60s"]),
        ),
        ("a hole of decades", hole.into(), (true, &["gaps: ", "before line 302"])),
        (
            "backwards",
            backwards.into(),
            (true, &["earlier than the line before, sorted: line 3, 4, 5, 6, 7 and 594 more"]),
        ),
        ("every line twice", twice.into(), (true, &["in the same step as another, averaged: line "])),
        (
            "negative",
            spoilt("-0.4").into(),
            (true, &["negative, taken as 0: line 22, 72, 122, 172, 222 and 7 more"]),
        ),
        ("NaN", spoilt("NaN").into(), (true, &["left out, not finite: line 22, 72", "gaps: 12 of 600"])),
        ("infinite", spoilt("-inf").into(), (true, &["left out, not finite: line 22, 72"])),
        (
            "words among numbers",
            spoilt("down").into(),
            (true, &["left out, no time and number: line 22, 72"]),
        ),
        ("nothing among numbers", spoilt("").into(), (true, &["left out, no time and number: line 22, 72"])),
        (
            "huge values",
            series(600, |step| Some(if step % 400 == 20 { "1e308".into() } else { wave(step).to_string() }))
                .into(),
            (true, &["above 1000 times the capacity, taken as that: line 22, 422"]),
        ),
        ("tiny values", spoilt("5e-324").into(), (true, &[])),
        (
            "a huge unit",
            series(600, |step| Some((wave(step) * 1e300).to_string())).into(),
            (true, &["not in units of load", "--capacity"]),
        ),
        (
            "a time beyond all times",
            (series(600, |step| Some(wave(step).to_string())) + "1e300,0.5\n").into(),
            (true, &["left out, no time and number: line 602"]),
        ),
        ("no text", vec![0xff; 2_000], (false, &["cannot be read", "line 1", "give a CSV file"])),
    ];
    let folder = tempfile::tempdir().unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/load.onnx");
    for (name, text, expected) in cases {
        let path = written(&folder, text);
        let file = path.to_str().unwrap();
        hold(name, &path, &["evaluate", "--model", model, "--series", file, "--period", "15s"], expected);
    }
    let missing = folder.path().join("missing.csv");
    let file = missing.to_str().unwrap();
    let arguments = ["evaluate", "--model", model, "--series", file, "--period", "15s"];
    hold("a file that is not there", &missing, &arguments, (false, &["cannot open"]));
}

/// An entry every 100 ms with the cost that `cost` says.
fn entries(rows: u32, cost: impl Fn(u32) -> String) -> String {
    let line = |row: u32| format!("{},c{},s,d,{},1,{}\n", row * 100, row % 3, 100 + row % 700, cost(row));
    std::iter::once(HEADER.to_owned()).chain((0..rows).map(line)).collect()
}

const HEADER: &str = "timestamp_ms,class,source,destination,bytes,steps,cost_ms\n";

#[test]
fn entries_are_judged_or_refused_and_what_is_odd_is_said_with_its_lines() {
    let cost = |row: u32| (1 + row % 3).to_string();
    let sound = entries(400, cost);
    let spoilt = |with: &str| entries(400, |row| if row % 50 == 20 { with.to_owned() } else { cost(row) });
    let backwards = {
        let mut lines: Vec<&str> = sound.lines().collect();
        lines[1..].reverse();
        lines.join("\n")
    };
    let cases: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("constant", entries(400, |_| "2".into()).into(), (true, &["160"])),
        (
            "empty",
            Vec::new(),
            (false, &["the header lacks timestamp_ms, class", "give a CSV with the columns"]),
        ),
        ("a header alone", HEADER.into(), (false, &["0 entries can be used", "record more"])),
        ("one entry", entries(1, cost).into(), (false, &["1 entries can be used", "at least 150"])),
        (
            "a column less",
            sound.replace("cost_ms", "cost").into(),
            (false, &["the header lacks cost_ms, it has"]),
        ),
        (
            "backwards",
            backwards.into(),
            (true, &["earlier than the line before, sorted: line 3, 4, 5, 6, 7 and 394 more"]),
        ),
        (
            "every line twice",
            sound
                .clone()
                .into_bytes()
                .into_iter()
                .chain(sound.lines().skip(1).collect::<Vec<_>>().join("\n").into_bytes())
                .collect(),
            (true, &["320"]),
        ),
        (
            "negative costs",
            spoilt("-3").into(),
            (true, &["left out, no cost above 0: line 22, 72, 122, 172, 222 and 3 more"]),
        ),
        ("NaN", spoilt("NaN").into(), (true, &["left out, no cost above 0: line 22"])),
        ("huge costs", spoilt("1e308").into(), (true, &["left out, no cost above 0: line 22"])),
        (
            "words",
            spoilt("free").into(),
            (true, &["left out, a field is missing or no such number: line 22, 72"]),
        ),
        (
            "lines that break off",
            sound.replace(",1,2\n", "\n").into(),
            (true, &["left out, a field is missing"]),
        ),
        (
            "negative bytes",
            sound.replace(",d,105,", ",d,-105,").into(),
            (true, &["a field is missing or no such number: line 7"]),
        ),
        (
            "a time beyond all times",
            (sound.clone() + "1e300,c,s,d,1,1,1\n").into(),
            (true, &["left out, no time: line 402"]),
        ),
        (
            "nothing of use",
            entries(400, |_| "0".into()).into(),
            (false, &["0 entries can be used (left out, no cost above 0: line 2"]),
        ),
        ("no text", [HEADER.as_bytes(), &[0xff; 100]].concat(), (false, &["cannot be read", "line 2"])),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, text, expected) in cases {
        let path = written(&folder, text);
        hold(name, &path, &["evaluate-impact", "--entries", path.to_str().unwrap()], expected);
    }
}
