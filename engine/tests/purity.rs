//! The engine stays pure: no dependencies, no I/O, no clock, no randomness of its own.

use std::{fs, path::Path};

const FORBIDDEN: [&str; 12] = [
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "rand::",
    "tokio",
    "kube::",
    "async fn",
];

#[test]
fn the_engine_names_nothing_that_does_io_or_reads_a_clock() {
    let mut seen = 0;
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |path, text| {
        seen += 1;
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{} names {word}: take it as a parameter", path.display());
        }
    });
    assert!(seen > 10, "only {seen} source files were found");
}

#[test]
fn the_engine_depends_on_no_crate() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    assert!(!manifest.contains("\n[dependencies]"), "the engine has dependencies");
    assert!(manifest.contains("\n[dev-dependencies]"), "the manifest is not the one this test knows");
}

fn visit(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).expect("the sources can be listed") {
        let path = entry.expect("the sources can be listed").path();
        if path.is_dir() {
            visit(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &fs::read_to_string(&path).expect("the sources can be read"));
        }
    }
}
