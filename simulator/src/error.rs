//! What can be wrong with what people hand in, told with file, line and what was expected.

use std::{fmt, io, path::PathBuf};

/// Result of everything here that reads or writes.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a simulation did not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {source}; give the path of a file that can be read and written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A scenario, a trace or recorded bounds that cannot be used.
    #[error("{place}: {problem}; expected {expected}")]
    Input {
        /// Where.
        place: Place,
        /// What stands there.
        problem: String,
        /// What should stand there.
        expected: String,
    },
    /// A policy that is not there.
    #[error("there is no policy `{name}`; expected some of {known}")]
    Policy {
        /// As it was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// A picture could not be drawn.
    #[error("the report cannot be drawn: {0}")]
    Plot(String),
    /// The shipped model does not prove itself.
    #[error(transparent)]
    Model(#[from] foreshift_predictor::ModelError),
}

/// A file and, where it is known, a line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: Option<u64>,
}

impl Error {
    /// Something at a line of a file.
    #[must_use]
    pub fn at(file: &std::path::Path, line: Option<u64>, problem: &str, expected: &str) -> Self {
        let place = Place { file: file.to_owned(), line };
        Self::Input { place, problem: problem.to_owned(), expected: expected.to_owned() }
    }

    /// A file that cannot be read or written.
    #[must_use]
    pub fn file(path: &std::path::Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}
