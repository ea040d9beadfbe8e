use super::*;

type Damage = fn(&Path);

const MIB: u64 = 1 << 20;

fn samples(first: i64, count: usize) -> Samples {
    Samples { series: "route/a/b/c".into(), period: 2, first, loads: vec![0.25; count] }
}

fn times(folder: &Path) -> Vec<i64> {
    let mut reader = Reader::open(folder, 0).unwrap().unwrap();
    let mut times = Vec::new();
    loop {
        let page = reader.page().unwrap();
        if page.is_empty() {
            return times;
        }
        times.extend(page.iter().map(|row| row.time));
    }
}

#[test]
fn a_file_is_found_again_and_a_step_stays_as_it_was_first() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Reader::open(folder.path(), 0).unwrap().is_none());
    Store::open(folder.path(), MIB).unwrap().append(&[samples(5, 2)]).unwrap();
    let again = Samples { loads: vec![9.0; 3], ..samples(5, 3) };
    Store::open(folder.path(), MIB).unwrap().append(&[again]).unwrap();
    let rows = Reader::open(folder.path(), 0).unwrap().unwrap().page().unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row.time, row.permille)).collect();
    assert_eq!(found, [(10, 250), (12, 250), (14, 9000)]);
}

#[test]
fn the_file_stays_within_its_bound_and_keeps_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), MIB).unwrap();
    for batch in 0..50 {
        store.append(&[samples(batch * 4_000, 4_000)]).unwrap();
        assert!(store.bytes().unwrap() <= MIB);
    }
    let log = fs::metadata(folder.path().join(format!("{FILE}-wal"))).unwrap().len();
    assert!(log <= 3 * MIB, "the log holds {log} bytes");
    let times = times(folder.path());
    assert_eq!(times.last(), Some(&(2 * (200_000 - 1))));
    assert!(times.len() > 40_000, "{} samples in a mebibyte", times.len());
    assert!(times.windows(2).all(|pair| pair[1] == pair[0] + 2));
}

#[test]
fn a_series_goes_with_its_last_sample() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), MIB).unwrap();
    store.append(&[Samples { series: "node/gone".into(), ..samples(0, 10) }]).unwrap();
    for batch in 0..20 {
        store.append(&[samples(100 + batch * 10_000, 10_000)]).unwrap();
    }
    let names: i64 = store.connection.query_row("SELECT count(*) FROM series", [], |row| row.get(0)).unwrap();
    assert_eq!(names, 1);
}

#[test]
fn a_bound_below_an_empty_file_ends_in_an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path(), 1).unwrap().append(&[samples(0, 10)]).unwrap();
    assert!(times(folder.path()).is_empty());
}

#[test]
fn a_file_that_cannot_be_read_is_set_aside_and_a_new_one_begins() {
    let damage: [(&str, Damage); 4] = [
        ("no database", |file| fs::write(file, "not a database, but some text").unwrap()),
        ("cut short", |file| {
            let half = fs::metadata(file).unwrap().len() / 2;
            fs::File::options().write(true).open(file).unwrap().set_len(half).unwrap();
        }),
        ("overwritten within", |file| {
            let mut bytes = fs::read(file).unwrap();
            let length = bytes.len();
            bytes[length / 2..].fill(0xa5);
            fs::write(file, bytes).unwrap();
        }),
        ("of a later version", |file| {
            Connection::open(file).unwrap().pragma_update(None, "user_version", 7).unwrap();
        }),
    ];
    for (name, damage) in damage {
        let folder = tempfile::tempdir().unwrap();
        Store::open(folder.path(), MIB).unwrap().append(&[samples(0, 5_000)]).unwrap();
        damage(&folder.path().join(FILE));
        let mut store = Store::open(folder.path(), MIB).unwrap();
        assert!(folder.path().join(SET_ASIDE).exists(), "{name}");
        store.append(&[samples(9, 1)]).unwrap();
        assert_eq!(times(folder.path()), [18], "{name}");
    }
}

#[test]
fn a_reader_goes_on_while_samples_come_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), MIB).unwrap();
    store.append(&[samples(0, 50_000)]).unwrap();
    let mut reader = Reader::open(folder.path(), 0).unwrap().unwrap();
    let mut last = reader.page().unwrap().last().unwrap().time;
    for batch in 0..10 {
        store.append(&[samples(50_000 + batch * 10_000, 10_000)]).unwrap();
        let page = reader.page().unwrap();
        assert!(page.iter().all(|row| row.time > last));
        last = page.last().unwrap().time;
    }
}
