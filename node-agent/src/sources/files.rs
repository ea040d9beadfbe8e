//! Reads the kernel's small text files into one reused buffer and hands them to a pure parser.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// No file of the kernel that is read here comes near this; what does is cut and then does not parse.
const SIZE_MAX: u64 = 1 << 20;

/// Why a figure could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is not there or not readable.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file does not hold what the kernel documents.
    #[error("{} does not look as the kernel documents it", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// The buffer.
#[derive(Debug, Default)]
pub(crate) struct Files {
    buffer: Vec<u8>,
    /// Stand for the kernel's, in tests that are too many to write each of them to a disk.
    #[cfg(test)]
    pub(crate) in_memory: Option<std::collections::HashMap<PathBuf, Vec<u8>>>,
}

impl Files {
    /// What `parse` makes of the file at `path`; `None` from it is [`ReadError::Malformed`].
    pub(crate) fn read<T>(
        &mut self,
        path: &Path,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ReadError> {
        self.fill(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
        std::str::from_utf8(&self.buffer)
            .ok()
            .and_then(parse)
            .ok_or_else(|| ReadError::Malformed { path: path.to_owned() })
    }

    fn fill(&mut self, path: &Path) -> io::Result<()> {
        self.buffer.clear();
        #[cfg(test)]
        if let Some(files) = &self.in_memory {
            self.buffer.extend_from_slice(files.get(path).ok_or(io::ErrorKind::NotFound)?);
            return Ok(());
        }
        File::open(path)?.take(SIZE_MAX).read_to_end(&mut self.buffer)?;
        Ok(())
    }
}

/// The number in a file that holds nothing else.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number behind `key` in a file of `key value` lines.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| number(line.strip_prefix(key)?.strip_prefix(' ')?))
}

/// How much a counter rose; zero where it fell, since then it began anew.
pub(crate) fn risen(before: u64, now: u64) -> f64 {
    now.saturating_sub(before) as f64
}

#[cfg(test)]
pub(crate) mod fixture {
    //! A folder of files that stands for a piece of /proc or /sys and is gone with the value.

    use std::{
        fs,
        path::{Path, PathBuf},
        sync::atomic::{AtomicUsize, Ordering},
    };

    static MADE: AtomicUsize = AtomicUsize::new(0);

    pub(crate) struct Tree(PathBuf);

    impl Tree {
        pub(crate) fn new() -> Self {
            let unique = format!("foreshift-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
            let root = std::env::temp_dir().join(unique);
            fs::create_dir_all(&root).unwrap();
            Self(root)
        }

        pub(crate) fn root(&self) -> &Path {
            &self.0
        }

        pub(crate) fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        pub(crate) fn remove(&self, path: &str) {
            fs::remove_dir_all(self.0.join(path)).unwrap();
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{fixture::Tree, *};

    #[test]
    fn a_key_is_a_whole_word() {
        let text = "inactive_file 1\ntotal_inactive_file 22\nempty\nodd x\n";
        let cases =
            [("inactive_file", Some(1)), ("total_inactive_file", Some(22)), ("total", None), ("odd", None)];
        for (key, expected) in cases {
            assert_eq!(keyed(text, key), expected, "{key}");
        }
    }

    #[test]
    fn errors_name_the_file() {
        let tree = Tree::new();
        tree.write("cpu.stat", "nothing of the kind");
        let mut files = Files::default();
        for (path, expected) in [("cpu.stat", "does not look"), ("absent", "cannot read")] {
            let error = files.read(&tree.root().join(path), number).unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_counter_that_fell_began_anew() {
        assert_eq!((risen(3, 10), risen(10, 3)), (7.0, 0.0));
    }
}
