//! The shipped model and broken copies of it, through the program that proves them.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

use std::{fs, path::Path, process::Command};

use foreshift_operator::models::Files;

const PROGRAM: &str = env!("CARGO_BIN_EXE_foreshift-operator");
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");

/// A name, how the model is spoilt, and what is said of it.
type Case = (&'static str, fn(&mut Files), &'static str);

fn shipped() -> Files {
    Files::in_folder(Path::new(SHIPPED)).unwrap()
}

#[test]
fn the_shipped_model_proves_itself() {
    let output = Command::new(PROGRAM).args(["check-model", SHIPPED]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(format!("{SHIPPED}/load.json")).unwrap()).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), manifest["sha256"]);
}

#[tokio::test]
async fn what_the_child_approves_of_is_what_is_loaded() {
    let model = shipped().prove(Path::new(PROGRAM)).await.unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&shipped().manifest).unwrap();
    assert_eq!(model.digest(), manifest["sha256"]);
}

#[tokio::test]
async fn a_broken_model_is_refused_with_a_reason_in_one_line() {
    let cases: [Case; 5] = [
        ("corrupt", |files| files.onnx[100] ^= 0xff, "SHA-256"),
        ("oversized", |files| files.onnx.resize(2 << 20, 0), "smaller model"),
        ("no manifest", |files| files.manifest.truncate(10), "manifest is unusable"),
        ("endless manifest", |files| files.manifest.resize(2 << 20, b' '), "manifest is unusable"),
        ("nothing", |files| *files = Files::default(), "manifest is unusable"),
    ];
    for (name, spoil, reason) in cases {
        let mut files = shipped();
        spoil(&mut files);
        let refused = files.prove(Path::new(PROGRAM)).await.unwrap_err().to_string();
        assert!(refused.contains(reason) && !refused.contains('\n'), "{name}: {refused}");
    }
}
