//! The history outlives the death of its writer at any moment.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use foreshift_operator::history::{
    Samples,
    store::{Reader, SET_ASIDE, Store},
};

/// Names the folder to the child.
const FOLDER: &str = "FORESHIFT_TEST_HISTORY";

/// Steps in a transaction.
const BATCH: usize = 500;

/// Far longer than a kill takes on any machine.
const PATIENCE: Duration = Duration::from_mins(2);

fn batch(number: i64) -> Samples {
    let first = number * BATCH as i64;
    Samples { series: "node/n1".into(), period: 15, first, loads: vec![0.5; BATCH] }
}

/// Rows in the file, all of which must follow one another.
fn rows(folder: &Path) -> usize {
    // Not there yet, or without its tables.
    let Ok(Some(mut reader)) = Reader::open(folder, 0) else { return 0 };
    let mut count = 0;
    while let Ok(page) = reader.page()
        && !page.is_empty()
    {
        assert!(page.iter().zip(count..).all(|(row, step)| row.time == 15 * step as i64));
        count += page.len();
    }
    count
}

/// Not a test by itself: what the killed child does.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let mut store = Store::open(folder.as_ref(), 1 << 30).unwrap();
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < PATIENCE {
        store.append(&[batch(number)]).unwrap();
        number += 1;
    }
}

#[tokio::test]
async fn a_writer_that_is_killed_leaves_whole_transactions_and_another_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for least in [1, 20_000, 60_000] {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_it_is_killed"])
            .env(FOLDER, folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && rows(folder.path()) < least {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let kept = rows(folder.path());
        assert!(kept >= least, "{kept} of at least {least}");
        assert_eq!(kept % BATCH, 0, "a part of a transaction was kept");
        let mut store = Store::open(folder.path(), 1 << 30).unwrap();
        assert!(!folder.path().join(SET_ASIDE).exists(), "a killed writer leaves no damage");
        store.append(&[batch((kept / BATCH) as i64)]).unwrap();
        assert_eq!(rows(folder.path()), kept + BATCH);
    }
}
