//! The shipped model and broken copies of it, through the program that proves them.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use foreshift_operator::{
    metrics::Metrics,
    models::{Loader, Models},
};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

const PROGRAM: &str = env!("CARGO_BIN_EXE_foreshift-operator");
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");

/// A folder with a copy of the shipped model.
struct Folder(PathBuf);

/// A name, how the model is spoilt, and what is said of it.
type Case = (&'static str, fn(&Folder), &'static str);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("foreshift-model-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for file in ["load.onnx", "load.json"] {
            fs::copy(Path::new(SHIPPED).join(file), folder.join(file)).unwrap();
        }
        Self(folder)
    }

    fn change(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.0.join(file);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        // A new inode with a new time, as the swap of a volume makes.
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }

    fn loader(&self) -> (Loader, watch::Receiver<Models>) {
        let metrics = Metrics::register(&mut Registry::default());
        Loader::new(self.0.clone(), PROGRAM.into(), metrics)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
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
async fn a_broken_model_is_refused_with_a_reason_and_the_present_one_stays() {
    let cases: [Case; 4] = [
        ("corrupt", |f| f.change("load.onnx", |bytes| bytes[100] ^= 0xff), "SHA-256"),
        ("oversized", |f| f.change("load.onnx", |bytes| bytes.resize(2 << 20, 0)), "smaller model"),
        ("no-json", |f| f.change("load.json", |bytes| bytes.truncate(10)), "manifest is unusable"),
        ("gone", |f| fs::remove_file(f.0.join("load.onnx")).unwrap(), "cannot be read"),
    ];
    for (name, spoil, reason) in cases {
        let folder = Folder::new(name);
        let (mut loader, models) = folder.loader();
        loader.look().await;
        let digest = models.borrow().model.as_ref().unwrap().digest().to_owned();
        assert_eq!(models.borrow().refused, None);
        spoil(&folder);
        loader.look().await;
        let after = models.borrow().clone();
        assert_eq!(after.model.unwrap().digest(), digest, "{name}");
        let refused = after.refused.unwrap();
        assert!(refused.contains(reason) && !refused.contains('\n'), "{name}: {refused}");
    }
}

#[tokio::test]
async fn a_model_that_is_mended_is_taken_without_a_restart() {
    let folder = Folder::new("mended");
    folder.change("load.onnx", |bytes| bytes.truncate(100));
    let (mut loader, models) = folder.loader();
    loader.look().await;
    assert!(models.borrow().model.is_none());
    fs::copy(format!("{SHIPPED}/load.onnx"), folder.0.join("load.onnx")).unwrap();
    loader.look().await;
    let after = models.borrow().clone();
    assert!(after.model.is_some() && after.refused.is_none());
}
