//! The file: one `SQLite` database in WAL mode, bounded in size, begun anew when it cannot be read.
//!
//! Samples are keyed by time first, so that the newest are appended at one end and the oldest are cut off at the other.
//! A kill at any moment loses at most what was not yet committed; a power cut, the last seconds (synchronous=NORMAL).

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use tracing::warn;

use super::Samples;

/// Name of the file in its folder.
pub const FILE: &str = "history.sqlite";

/// Name of the last file that could not be read.
pub const SET_ASIDE: &str = "history.unreadable.sqlite";

/// What `user_version` says of a file with the tables below.
const SCHEMA: i32 = 1;

/// Loads are kept in thousandths, as personas carry them.
const TABLES: &str = "
    CREATE TABLE series (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, period INTEGER NOT NULL, newest INTEGER NOT NULL,
        UNIQUE (name, period)
    ) STRICT;
    CREATE TABLE sample (
        time INTEGER NOT NULL, series INTEGER NOT NULL, permille INTEGER NOT NULL,
        PRIMARY KEY (time, series)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;";

/// Samples that are cut off at once when the file is too large.
const CUT: i64 = 8_192;

/// Rows that a reader gets at once; between two pages it holds no lock and no snapshot.
pub const PAGE: i64 = 4_096;

/// How long a reader or writer waits for the other.
const BUSY: Duration = Duration::from_secs(5);

/// Why the history cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or the file cannot be used.
    #[error("{}: {source}; give --history-dir a folder that can be written to, or leave it away", path.display())]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// What `SQLite` said.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Not a file of this program, or of a later one.
    #[error("schema version {0} instead of {SCHEMA}")]
    Schema(i32),
    /// What `quick_check` found.
    #[error("damaged: {0}")]
    Damaged(String),
}

/// The history as its writer has it.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    most: u64,
}

/// One sample as a reader gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Name of the series.
    pub series: String,
    /// Seconds in a step.
    pub period: i64,
    /// Unix time of the step's start.
    pub time: i64,
    /// Load in thousandths.
    pub permille: i64,
    id: i64,
}

/// Reads page by page, from old to new.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    after: (i64, i64),
}

impl StoreError {
    /// Whether the file itself is at fault, so that a new one helps.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Schema(_) | Self::Damaged(_) => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
            ),
            Self::Io { .. } => false,
        }
    }
}

impl Store {
    /// Opens the file in a folder, which is made if need be; one that cannot be read is set aside as [`SET_ASIDE`].
    /// The file grows to `most` bytes; its write-ahead log, about 1 MiB, comes on top.
    ///
    /// # Errors
    /// [`StoreError`] if no new file can be begun either.
    pub fn open(folder: &Path, most: u64) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|source| StoreError::Io { path: folder.into(), source })?;
        match Self::try_open(folder, most) {
            Err(error) if error.is_unreadable() => {
                set_aside(folder, &error)?;
                Self::try_open(folder, most)
            }
            opened => opened,
        }
    }

    fn try_open(folder: &Path, most: u64) -> Result<Self, StoreError> {
        let mut connection = Connection::open(folder.join(FILE))?;
        connection.busy_timeout(BUSY)?;
        // Counts only before the first table is made.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "wal_autocheckpoint", 128)?;
        connection.pragma_update(None, "journal_size_limit", 1 << 20)?;
        match connection.pragma_query_value(None, "user_version", |row| row.get(0))? {
            SCHEMA => {}
            0 => {
                let begin = connection.transaction()?;
                begin.execute_batch(TABLES)?;
                begin.commit()?;
            }
            other => return Err(StoreError::Schema(other)),
        }
        let found: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if found != "ok" {
            return Err(StoreError::Damaged(found));
        }
        Ok(Self { connection, most })
    }

    /// Adds samples, all or none, then cuts off what has no room. A step that is there stays as it is.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of these samples was kept, unless only the cutting failed.
    pub fn append(&mut self, batch: &[Samples]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            let mut series = transaction.prepare(
                "INSERT INTO series (name, period, newest) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name, period) DO UPDATE SET newest = max(newest, excluded.newest) RETURNING id",
            )?;
            let mut sample = transaction.prepare("INSERT OR IGNORE INTO sample VALUES (?1, ?2, ?3)")?;
            for samples in batch {
                let period = i64::from(samples.period);
                let time = |index: usize| samples.first.saturating_add(index as i64).saturating_mul(period);
                let newest = time(samples.loads.len().saturating_sub(1));
                let id: i64 = series.query_row(params![samples.series, period, newest], |row| row.get(0))?;
                for (index, load) in samples.loads.iter().enumerate() {
                    sample.execute(params![time(index), id, (load * 1000.0).round() as i64])?;
                }
            }
        }
        transaction.commit()?;
        self.cut()
    }

    /// Bytes of the file, without its log.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn bytes(&self) -> Result<u64, StoreError> {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok(pragma("page_count")?.saturating_mul(pragma("page_size")?).unsigned_abs())
    }

    fn cut(&mut self) -> Result<(), StoreError> {
        while self.bytes()? > self.most {
            let transaction = self.connection.transaction()?;
            let cut = transaction.execute(
                "DELETE FROM sample WHERE time <=
                   (SELECT max(time) FROM (SELECT time FROM sample ORDER BY time LIMIT ?1))",
                [CUT],
            )?;
            transaction.execute("DELETE FROM series WHERE newest < (SELECT min(time) FROM sample)", [])?;
            transaction.commit()?;
            // A statement that returns a row for each page that it frees.
            let mut vacuum = self.connection.prepare("PRAGMA incremental_vacuum")?;
            let mut freed = vacuum.query([])?;
            while freed.next()?.is_some() {}
            if cut == 0 {
                break; // Nothing is left to cut: the bound is smaller than an empty file.
            }
        }
        Ok(())
    }
}

impl Reader {
    /// Reads what is not older than `since`, unix seconds; `None` if there is no history yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: &Path, since: i64) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        // A reader of a WAL file takes part in its shared memory, so it must be able to write.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(Some(Self { connection, after: (since.saturating_sub(1), i64::MAX) }))
    }

    /// The next rows, at most [`PAGE`]; none at the end.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn page(&mut self) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.connection.prepare(
            "SELECT name, period, time, permille, sample.series FROM sample CROSS JOIN series ON series.id = sample.series
             WHERE (time, sample.series) > (?1, ?2) ORDER BY time, sample.series LIMIT ?3",
        )?;
        let rows = statement.query_map(params![self.after.0, self.after.1, PAGE], |row| {
            Ok(Row {
                series: row.get(0)?,
                period: row.get(1)?,
                time: row.get(2)?,
                permille: row.get(3)?,
                id: row.get(4)?,
            })
        })?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        if let Some(last) = rows.last() {
            self.after = (last.time, last.id);
        }
        Ok(rows)
    }
}

/// Renames the file and drops its log, so that a new one can be begun.
fn set_aside(folder: &Path, reason: &StoreError) -> Result<(), StoreError> {
    let (from, to) = (folder.join(FILE), folder.join(SET_ASIDE));
    warn!(file = %to.display(), %reason, "the history cannot be read; it is set aside and a new one begins");
    fs::rename(&from, &to).map_err(|source| StoreError::Io { path: from, source })?;
    for end in ["-wal", "-shm"] {
        let path = folder.join(format!("{FILE}{end}"));
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::Io { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
