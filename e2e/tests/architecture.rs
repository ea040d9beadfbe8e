//! The dependency picture of ARCHITECTURE.md is that of the manifests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

/// Never, not even by way of others: `(from, to, why)`.
const FORBIDDEN: [(&str, &str, &str); 5] = [
    ("entry-router", "operator", "the data plane runs without the control plane"),
    ("entry-router", "tract-core", "no model runs in the way of an entry"),
    ("entry-router", "rusqlite", "the data plane keeps no history"),
    ("node-agent", "view", "an agent knows its own node only"),
    ("engine", "api", "the engine knows no Kubernetes"),
];

const PREFIX: &str = "foreshift-";
/// Only tests use it.
const FIXTURES: &str = "foreshift-view-fixtures";

type Arrows = BTreeMap<String, BTreeSet<String>>;

struct Graph {
    arrows: Arrows,
    /// The packages of the workspace.
    own: BTreeSet<String>,
}

#[test]
fn architecture_shows_the_arrows_of_the_manifests() {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let picture =
        text.split("```").find(|block| block.starts_with("\nview ─")).expect("the picture starts with view");
    let shown: Arrows = picture
        .lines()
        .filter_map(|line| line.split_once("─►"))
        .map(|(from, to)| {
            let from = from.trim_end_matches('─').trim().to_owned();
            (from, to.split(',').map(|to| to.trim().to_owned()).collect())
        })
        .collect();
    let Graph { mut arrows, own } = graph();
    arrows.retain(|from, to| {
        to.retain(|name| own.contains(name));
        own.contains(from) && !to.is_empty()
    });
    assert_eq!(shown, arrows, "left: ARCHITECTURE.md, right: the manifests");
}

#[test]
fn no_forbidden_arrow_exists_not_even_by_way_of_others() {
    let Graph { arrows, .. } = graph();
    for (from, to, why) in FORBIDDEN {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut open = vec![from];
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(arrows.get(next).into_iter().flatten().map(String::as_str));
            }
        }
        assert!(arrows.contains_key(from), "{from} is not a package");
        assert!(!reached.contains(to), "{from} depends on {to}: {why}");
    }
}

/// Normal and build dependencies of every package, our own without their prefix. What only tests use is left out.
fn graph() -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .current_dir(repository())
        .output()
        .expect("cargo metadata is complete");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is complete");
    let packages = metadata["packages"].as_array().expect("cargo metadata is complete").iter();
    let names: BTreeMap<&str, &str> =
        packages.map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let nodes = metadata["resolve"]["nodes"].as_array().expect("cargo metadata is complete");
    let arrows = nodes.iter().map(|node| {
        let to = node["deps"]
            .as_array()
            .expect("cargo metadata is complete")
            .iter()
            .filter(|dep| is_built_in(dep));
        (short(names[text(&node["id"])]), to.map(|dep| short(names[text(&dep["pkg"])])).collect())
    });
    let own = names.values().filter(|name| name.starts_with(PREFIX) && **name != FIXTURES);
    Graph { arrows: arrows.collect(), own: own.map(|name| short(name)).collect() }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo metadata is complete")
}

fn is_built_in(dep: &Value) -> bool {
    dep["dep_kinds"].as_array().expect("cargo metadata is complete").iter().any(|kind| kind["kind"] != "dev")
}

fn short(name: &str) -> String {
    name.strip_prefix(PREFIX).unwrap_or(name).to_owned()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("cargo metadata is complete")
}
