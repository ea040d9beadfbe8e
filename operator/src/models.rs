//! The load model: found in a folder, proved in a child process, swapped while running.
//!
//! A file that makes the runtime hang or die does so to the child; the operator goes on with the model it has, or
//! with the next rung of the ladder. A refused file is not tried again until it changes.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};

use foreshift_engine::forecast::Rung;
use foreshift_predictor::{Manifest, Model, ModelError, inspect};
use tokio::{process::Command, sync::watch, task::spawn_blocking, time::timeout};
use tracing::{info, warn};

use crate::{metrics::Metrics, shutdown::Stop};

const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A sound model proves itself in some 10 ms; this leaves room for a throttled pod.
const PROOF_TIMEOUT: Duration = Duration::from_secs(30);

/// The folder's files.
const ONNX: &str = "load.onnx";
const MANIFEST: &str = "load.json";

/// Digits of a digest that people are shown.
const SHORT_DIGEST: usize = 12;

/// What forecasts now, and why nothing better does.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// The model in use.
    pub model: Option<Arc<Model>>,
    /// Why the newest file is not used.
    pub refused: Option<String>,
}

/// Why a folder's model is not used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or cannot be read.
    #[error("{path} cannot be read: {source}; give the operator a folder with {ONNX} and {MANIFEST}")]
    Read {
        /// The file.
        path: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The files are read and refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The child did not come back.
    #[error("the model was not proved within {} s; give a smaller model", PROOF_TIMEOUT.as_secs())]
    Timeout,
    /// The child refused the model, or died of it.
    #[error("{0}")]
    Refused(String),
    /// No child.
    #[error("the check of the model could not be started: {0}")]
    Start(#[source] io::Error),
    /// Parent and child saw different files.
    #[error("the files changed while they were checked; they are tried again")]
    Changed,
}

/// Looks for models.
pub struct Loader {
    dir: PathBuf,
    program: PathBuf,
    tried: Option<Fingerprint>,
    models: watch::Sender<Models>,
    metrics: Metrics,
}

/// Tells one state of the files from another; a ConfigMap volume swaps a symbolic link.
type Fingerprint = [Option<(u64, SystemTime)>; 2];

impl Models {
    /// Who made a forecast: `model DIGEST`, `holt`, `last-value` or `reactive`.
    #[must_use]
    pub fn label(&self, rung: Rung) -> String {
        match rung {
            Rung::Model => {
                let digest = self.model.as_ref().map_or("unknown", |model| model.digest());
                format!("model {}", digest.get(..SHORT_DIGEST).unwrap_or(digest))
            }
            Rung::Holt => "holt".into(),
            Rung::LastValue => "last-value".into(),
            Rung::Reactive => "reactive".into(),
        }
    }
}

/// Loads and proves the model in a folder. Blocks for some 10 ms.
///
/// # Errors
/// [`LoadError::Read`] and [`LoadError::Model`].
pub fn load(dir: &Path) -> Result<Model, LoadError> {
    let manifest = Manifest::from_json(&read(&dir.join(MANIFEST), inspect::MAX_BYTES)?)?;
    Ok(Model::load(&read(&dir.join(ONNX), inspect::MAX_BYTES)?, &manifest)?)
}

impl Loader {
    /// A loader of the models in `dir`; `program` is this executable, which is run once more for every proof.
    #[must_use]
    pub fn new(dir: PathBuf, program: PathBuf, metrics: Metrics) -> (Self, watch::Receiver<Models>) {
        let (models, receiver) = watch::channel(Models::default());
        (Self { dir, program, tried: None, models, metrics }, receiver)
    }

    /// Looks every ten seconds until asked to stop.
    pub async fn run(mut self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = self.look() => {}
                () = stop.requested() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.requested() => return,
            }
        }
    }

    /// Looks once: takes a new model if it proves itself, keeps the present one if it does not.
    pub async fn look(&mut self) {
        let dir = self.dir.clone();
        let Ok(found) = spawn_blocking(move || fingerprint(&dir)).await else { return };
        if self.tried == Some(found) {
            return;
        }
        match self.prove().await {
            Ok(model) => {
                info!(model = model.name(), digest = model.digest(), "a model was loaded");
                self.metrics.model(model.name(), model.digest());
                self.models.send_replace(Models { model: Some(Arc::new(model)), refused: None });
            }
            Err(error) => {
                warn!(%error, dir = %self.dir.display(), "the model is not used");
                if matches!(error, LoadError::Changed) {
                    return;
                }
                self.models.send_modify(|models| models.refused = Some(error.to_string()));
            }
        }
        self.tried = Some(found);
    }

    async fn prove(&self) -> Result<Model, LoadError> {
        let mut child = Command::new(&self.program);
        child.arg("check-model").arg(&self.dir).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(PROOF_TIMEOUT, child.output())
            .await
            .map_err(|_| LoadError::Timeout)?
            .map_err(LoadError::Start)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().map(|line| line.trim_start_matches("Error: ").to_owned());
            let reason = said.unwrap_or_else(|| format!("the check ended with {}", output.status));
            return Err(LoadError::Refused(reason));
        }
        let dir = self.dir.clone();
        let model = spawn_blocking(move || load(&dir)).await.map_err(|_| LoadError::Changed)??;
        let proved = String::from_utf8_lossy(&output.stdout);
        if proved.trim() == model.digest() { Ok(model) } else { Err(LoadError::Changed) }
    }
}

fn fingerprint(dir: &Path) -> Fingerprint {
    [ONNX, MANIFEST].map(|name| {
        let data = std::fs::metadata(dir.join(name)).ok()?;
        Some((data.len(), data.modified().ok()?))
    })
}

/// Reads at most one byte more than allowed, so that a huge file is refused by its size and never held.
fn read(path: &Path, most: usize) -> Result<Vec<u8>, LoadError> {
    let wrong = |source| LoadError::Read { path: path.display().to_string(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(wrong)?;
    io::Read::read_to_end(&mut io::Read::take(file, most as u64 + 1), &mut bytes).map_err(wrong)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    fn folder(name: &str) -> Folder {
        let dir = std::env::temp_dir().join(format!("foreshift-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Folder(dir)
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    async fn after_a_look(dir: &Path, program: &str) -> Models {
        let metrics = Metrics::register(&mut Registry::default());
        let (mut loader, models) = Loader::new(dir.into(), program.into(), metrics);
        loader.look().await;
        let seen = models.borrow().clone();
        assert!(loader.tried.is_some(), "a refused file is not tried again");
        seen
    }

    #[tokio::test]
    async fn a_folder_without_a_model_is_refused_with_what_to_do() {
        let error = load(&folder("empty").0).unwrap_err().to_string();
        assert!(error.contains("load.json") && error.contains("give the operator a folder"), "{error}");
    }

    #[tokio::test]
    async fn a_check_that_fails_or_cannot_be_run_leaves_the_operator_without_a_model_and_alive() {
        let dir = folder("refused");
        for (program, reason) in [("/bin/false", "ended with"), ("/nowhere/program", "could not be started")]
        {
            let models = after_a_look(&dir.0, program).await;
            assert!(models.model.is_none());
            assert!(models.refused.unwrap().contains(reason));
        }
    }

    #[tokio::test]
    async fn the_parent_does_not_believe_a_check_without_a_sound_file() {
        let models = after_a_look(&folder("liar").0, "/bin/true").await;
        assert!(models.model.is_none() && models.refused.unwrap().contains("cannot be read"));
    }

    #[test]
    fn a_file_that_is_too_large_is_not_held() {
        let dir = folder("large");
        let path = dir.0.join("file");
        std::fs::write(&path, vec![0; 1000]).unwrap();
        assert_eq!(read(&path, 10).unwrap().len(), 11);
    }

    #[test]
    fn every_rung_has_a_name() {
        let models = Models::default();
        let names = [Rung::Model, Rung::Holt, Rung::LastValue, Rung::Reactive].map(|rung| models.label(rung));
        assert_eq!(names, ["model unknown", "holt", "last-value", "reactive"]);
    }
}
