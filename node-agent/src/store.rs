//! The persona's memory in a file: versioned JSON, written beside and renamed, so that it is whole or not there.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::persona::Memory;

/// Layout of the file; another one is not read.
const VERSION: u32 = 1;

/// A memory is a status of some 7 KiB and a few numbers.
const BYTES_MAX: u64 = 64 * 1024;

/// Why a memory could not be kept or brought back.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its folder is not readable or writable.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a memory.
    #[error("{} is not a persona's memory: {source}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// Written by another version of the agent.
    #[error("{} has layout {found}, this agent reads layout {VERSION}", path.display())]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u32,
    },
}

/// Where a memory is kept.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    memory: &'a Memory,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Deserialize)]
struct Whole {
    memory: Memory,
}

impl Store {
    /// A file in `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("persona.json") }
    }

    /// What was kept last; `None` when nothing ever was.
    pub fn load(&self) -> Result<Option<Memory>, StoreError> {
        let mut json = Vec::new();
        match File::open(&self.path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut json)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|source| self.io(source))?,
        };
        self.parse(&json).map(Some)
    }

    fn parse(&self, json: &[u8]) -> Result<Memory, StoreError> {
        let corrupt = |source| StoreError::Corrupt { path: self.path.clone(), source };
        let Version { version: found } = serde_json::from_slice(json).map_err(corrupt)?;
        if found != VERSION {
            return Err(StoreError::OtherVersion { path: self.path.clone(), found });
        }
        let Whole { memory } = serde_json::from_slice(json).map_err(corrupt)?;
        Ok(memory)
    }

    /// Keeps `memory` in place of what was kept before.
    pub fn save(&self, memory: &Memory) -> Result<(), StoreError> {
        let json = serde_json::to_vec(&Written { version: VERSION, memory })
            .map_err(|source| StoreError::Corrupt { path: self.path.clone(), source })?;
        let beside = self.path.with_extension("json.new");
        let written = File::create(&beside).and_then(|mut file| {
            file.write_all(&json)?;
            file.sync_data()?;
            fs::rename(&beside, &self.path)
        });
        written.map_err(|source| self.io(source))
    }

    fn io(&self, source: io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use foreshift_api::resource_persona::ResourcePersonaStatus;

    use super::*;
    use crate::{persona::Averages, sources::fixture::Tree};

    fn memory() -> Memory {
        Memory {
            status: ResourcePersonaStatus { boot_id: "0a1b".into(), ..ResourcePersonaStatus::default() },
            averages: Averages {
                ready: (0.25, 0.5),
                contention: (0.1, 0.5),
                restarts: 3.0,
                answered: (9.0, 1.0),
            },
        }
    }

    #[test]
    fn what_is_kept_comes_back_and_the_last_one_wins() {
        let tree = Tree::new();
        let store = Store::new(tree.root());
        assert_eq!(store.load().unwrap(), None);
        store.save(&Memory::default()).unwrap();
        store.save(&memory()).unwrap();
        assert_eq!(store.load().unwrap(), Some(memory()));
        assert_eq!(fs::read_dir(tree.root()).unwrap().count(), 1, "nothing is left beside");
    }

    #[test]
    fn a_file_that_is_no_memory_is_refused_with_its_name() {
        let tree = Tree::new();
        let store = Store::new(tree.root());
        store.save(&memory()).unwrap();
        let whole = fs::read_to_string(tree.root().join("persona.json")).unwrap();
        let cases = [
            ("", "is not a persona's memory"),
            (&whole[..whole.len() / 2], "is not a persona's memory"),
            (r#"{"version":1,"memory":{"status":3}}"#, "is not a persona's memory"),
            (r#"{"version":2,"memory":{}}"#, "layout 2"),
        ];
        for (text, expected) in cases {
            tree.write("persona.json", text);
            let error = store.load().unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("persona.json"), "{error}");
        }
        store.save(&memory()).unwrap();
        assert_eq!(store.load().unwrap(), Some(memory()), "it is replaced by the next one");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_and_not_a_panic() {
        let store = Store::new(Path::new("/nowhere/at/all"));
        assert!(store.save(&memory()).unwrap_err().to_string().contains("/nowhere/at/all"));
        assert_eq!(store.load().unwrap(), None);
    }
}
