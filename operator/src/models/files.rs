//! The two files of a model: read with a bound on their size, and proved in a child process before they run here.
//!
//! A file that makes the runtime hang or die does so to the child. The child gets the bytes, not a path: what it
//! proved is what is loaded, whatever happens to the files meanwhile.

use std::{
    io::{self, Read},
    path::Path,
    process::Stdio,
    time::Duration,
};

use foreshift_predictor::{Manifest, Model, ModelError, inspect};
use tokio::{io::AsyncWriteExt, process::Command, task::spawn_blocking, time::timeout};

/// A sound model proves itself in some 10 ms; this leaves room for a throttled pod.
const PROOF_TIMEOUT: Duration = Duration::from_secs(30);

/// Names of the files, in a folder as in a ConfigMap.
pub const ONNX: &str = "load.onnx";
/// See [`ONNX`].
pub const MANIFEST: &str = "load.json";

/// The files of a model, not yet believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// `load.onnx`.
    pub onnx: Vec<u8>,
    /// `load.json`.
    pub manifest: Vec<u8>,
}

/// Why a model is not used.
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
    /// A ConfigMap is missing, or lacks a file.
    #[error("{0}")]
    ConfigMap(String),
    /// The files are read and refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The child did not come back.
    #[error("the model was not proved within {} s; give a smaller model", PROOF_TIMEOUT.as_secs())]
    Timeout,
    /// The child refused the model, or died of it.
    #[error("{0}")]
    Refused(String),
    /// No child, or none that could be spoken to.
    #[error("the check of the model could not be run: {0}")]
    Check(#[source] io::Error),
}

impl Files {
    /// Reads both files of a folder. Blocks.
    ///
    /// # Errors
    /// [`LoadError::Read`].
    pub fn in_folder(dir: &Path) -> Result<Self, LoadError> {
        let read = |name| {
            let path = dir.join(name);
            let file = std::fs::File::open(&path).and_then(at_most_one_more);
            file.map_err(|source| LoadError::Read { path: path.display().to_string(), source })
        };
        Ok(Self { manifest: read(MANIFEST)?, onnx: read(ONNX)? })
    }

    /// Reads both files from a stream, as [`Files::to_stream`] wrote them. Blocks.
    ///
    /// # Errors
    /// [`LoadError::Check`] if the stream ends too soon.
    pub fn from_stream(mut stream: impl Read) -> Result<Self, LoadError> {
        let mut length = [0; 8];
        stream.read_exact(&mut length).map_err(LoadError::Check)?;
        let mut manifest = Vec::new();
        let length = u64::from_le_bytes(length);
        (&mut stream).take(length).read_to_end(&mut manifest).map_err(LoadError::Check)?;
        Ok(Self { manifest, onnx: at_most_one_more(stream).map_err(LoadError::Check)? })
    }

    /// The length of the manifest in eight bytes, little end first, then the manifest, then the model.
    #[must_use]
    pub fn to_stream(&self) -> Vec<u8> {
        let length = (self.manifest.len() as u64).to_le_bytes();
        [&length[..], &self.manifest, &self.onnx].concat()
    }

    /// Loads the model and runs its golden vectors, here and now. Blocks for some 10 ms.
    ///
    /// # Errors
    /// [`LoadError::Model`].
    pub fn load(&self) -> Result<Model, LoadError> {
        let manifest = Manifest::from_json(&self.manifest)?;
        Ok(Model::load(&self.onnx, &manifest)?)
    }

    /// Has a child process of `program` (this executable) load the model, and loads it here when that went well.
    ///
    /// # Errors
    /// [`LoadError`]; the child is killed when it takes too long.
    pub async fn prove(self, program: &Path) -> Result<Model, LoadError> {
        let proved = timeout(PROOF_TIMEOUT, check(program, self.to_stream())).await;
        let digest = proved.map_err(|_| LoadError::Timeout)??;
        let loaded = spawn_blocking(move || self.load()).await;
        let model = loaded.map_err(|error| LoadError::Refused(error.to_string()))??;
        // A program that approves of anything is no check.
        if digest == model.digest() {
            Ok(model)
        } else {
            Err(LoadError::Refused(format!("the check approved of \"{digest}\", which is another model")))
        }
    }
}

/// What the child says of a sound model: its digest.
async fn check(program: &Path, stream: Vec<u8>) -> Result<String, LoadError> {
    let mut child = Command::new(program);
    child.arg("check-model").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.kill_on_drop(true).spawn().map_err(LoadError::Check)?;
    let stdin = child.stdin.take();
    let feed = async move {
        let Some(mut stdin) = stdin else { return };
        // A child that refuses early does not read on; its words come all the same.
        let _ = stdin.write_all(&stream).await;
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.map_err(LoadError::Check)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().map(|line| line.trim_start_matches("Error: ").to_owned());
    Err(LoadError::Refused(said.unwrap_or_else(|| format!("the check ended with {}", output.status))))
}

/// Reads at most one byte more than is allowed, so that a huge file is refused by its size and never held.
fn at_most_one_more(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(inspect::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_model_is_refused_with_what_to_do() {
        let error = Files::in_folder(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.contains("load.json") && error.contains("give the operator a folder"), "{error}");
    }

    #[test]
    fn a_file_that_is_too_large_is_not_held() {
        let endless = io::repeat(0);
        assert_eq!(at_most_one_more(endless).unwrap().len(), inspect::MAX_BYTES + 1);
    }

    #[test]
    fn what_the_child_reads_is_what_was_sent() {
        let files = Files { onnx: vec![1, 2, 3], manifest: b"{}".to_vec() };
        assert_eq!(Files::from_stream(&files.to_stream()[..]).unwrap(), files);
        for cut in [0, 7] {
            assert!(matches!(Files::from_stream(&files.to_stream()[..cut]), Err(LoadError::Check(_))));
        }
    }

    #[tokio::test]
    async fn a_check_that_fails_or_cannot_be_run_refuses_the_model() {
        let cases = [
            ("/bin/false", "ended with"),
            ("/nowhere/program", "could not be run"),
            ("/bin/true", "manifest is unusable"),
        ];
        for (program, reason) in cases {
            let error = Files::default().prove(Path::new(program)).await.unwrap_err().to_string();
            assert!(error.contains(reason), "{program}: {error}");
        }
    }
}
