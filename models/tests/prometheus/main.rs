//! A real Prometheus as the source of a history: it scrapes an exporter of this test, and the trainer's own code asks it.
//! Its program comes by the environment: `PROMETHEUS`, as `e2e/test prometheus` sets it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

mod server;

use std::env;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use foreshift_models::prometheus::{Query, read};
use foreshift_models::recorded::Recorded;
use server::Prometheus;

/// Step of the recorded loads, and how long after a step of the grid a sample was taken.
const PERIOD: i64 = 15;
const OFFSET: i64 = 3;

/// Steps recorded: 25 hours, more than a page of 5,000 steps.
const STEPS: i64 = 6_000;

/// How far back a value of an expression is looked for.
const LOOKBACK: i64 = 300;

async fn start() -> Prometheus {
    let program = env::var_os("PROMETHEUS")
        .unwrap_or_else(|| panic!("PROMETHEUS is not set; run `e2e/test prometheus`, which builds it"));
    Prometheus::start(&PathBuf::from(program), IpAddr::V4(Ipv4Addr::LOCALHOST)).await
}

fn query(prometheus: &Prometheus, expression: &str, period: u32, from: i64, to: i64) -> Query {
    let url = format!("http://{}/", prometheus.address);
    Query { url, expression: expression.to_owned(), period, from, to }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Load of the steady node at a step; every step has another one.
fn load(step: i64) -> f64 {
    0.2 + 0.0001 * step as f64
}

/// Twice the loads of three nodes, as an exporter shows them that tells when it saw what. `gappy` misses four minutes and,
/// later, half an hour; `odd` has steps that are no numbers.
fn recorded_page(first: i64) -> String {
    let mut text = "# TYPE node_work gauge\n".to_owned();
    for step in 0..STEPS {
        let at = ((first + step) * PERIOD + OFFSET) * 1_000;
        let mut line = |node: &str, value: f64| {
            writeln!(text, "node_work{{node=\"{node}\"}} {value} {at}").unwrap();
        };
        line("steady", 2.0 * load(step));
        if !(1_000..1_016).contains(&step) && !(2_000..2_120).contains(&step) {
            line("gappy", 1.0);
        }
        line("odd", if step % 100 == 7 { f64::NAN } else { 1.0 });
    }
    text
}

#[tokio::test]
async fn recorded_loads_come_back_by_series_and_step_with_their_gaps() {
    let prometheus = start().await;
    let last = now().div_euclid(PERIOD) - 30;
    let first = last - STEPS + 1;
    prometheus.show(recorded_page(first));
    let all = (3 * STEPS - 16 - 120).to_string();
    prometheus.holds("sum(count_over_time(node_work[2d]))", &all).await;

    // The first sample answers from the step after it, and the last one for as long as is looked back.
    let query = query(
        &prometheus,
        "sum by (node) (node_work) / 2",
        PERIOD as u32,
        (first - 100) * PERIOD,
        (last + 100) * PERIOD,
    );
    let mut history = Recorded::default();
    read(&query, &mut history).await.unwrap();
    let series = history.series();
    let found: Vec<(&str, usize)> =
        series.iter().map(|series| (series.name.as_str(), series.loads.len())).collect();
    let after = (LOOKBACK + OFFSET) / PERIOD;
    let [before_gap, after_gap] = [2_000 - 1 + after, STEPS - 2_120 - 1 + after].map(|steps| steps as usize);
    let whole = (STEPS - 1 + after) as usize;
    let expected = [
        ("{node=\"gappy\"} 15s", before_gap),
        ("{node=\"gappy\"} 15s", after_gap),
        ("{node=\"odd\"} 15s", whole),
        ("{node=\"steady\"} 15s", whole),
    ];
    assert_eq!(found, expected);
    let steady = &series[3].loads;
    for step in [0, 1, 4_999, 5_000, STEPS - 1] {
        assert!((steady[step as usize] - load(step)).abs() < 1e-6, "step {step}");
    }
    assert!(steady[STEPS as usize..].iter().all(|&held| (held - load(STEPS - 1)).abs() < 1e-6));
    assert!(series[..3].iter().all(|series| series.loads.iter().all(|&load| (load - 0.5).abs() < 1e-6)));

    the_program_asks_it(&prometheus).await;
}

/// The program, with the arguments of the chart's `CronJob`.
async fn the_program_asks_it(prometheus: &Prometheus) {
    let shipped = env!("CARGO_MANIFEST_DIR");
    let out = tempfile::tempdir().unwrap();
    let run = async |query: &str| {
        let arguments = [
            format!("--prometheus=http://{}", prometheus.address),
            format!("--query={query}"),
            "--period=15s".to_owned(),
            "--hours=48".to_owned(),
            format!("--shipped={shipped}"),
            format!("--out={}", out.path().display()),
        ];
        let trainer =
            || Command::new(env!("CARGO_BIN_EXE_foreshift-trainer")).arg("retrain").args(arguments).output();
        let done = tokio::task::spawn_blocking(trainer).await.unwrap().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let few = "node_work{node=\"steady\"} / 2 < 0.22";
    let (well, told) = run(few).await;
    assert!(well && told.contains("too little history: 200 samples"), "{told}");
    let (well, told) = run("node_work{node=\"nobody\"}").await;
    assert!(well && told.contains("too little history: 0 samples"), "{told}");
    for (wrong, word) in [
        ("node_work{", "parse error"),
        ("node_work[5m]", "invalid expression type"),
        ("node_work / on(nodes) node_work", "many-to-many"),
    ] {
        let (well, told) = run(wrong).await;
        assert!(!well && told.contains(word) && told.contains(&prometheus.address.to_string()), "{told}");
    }
}

#[tokio::test]
async fn loads_that_are_scraped_as_they_come_keep_their_time_and_end_when_they_are_not_shown_any_more() {
    let prometheus = start().await;
    let began = now();
    prometheus.show("load{node=\"a\"} 0.25\nload{node=\"b \\\"c\\\"\"} 1.5\n".to_owned());
    prometheus.holds("min(count_over_time(load[1m])) > bool 5", "1").await;
    prometheus.show("load{node=\"a\"} 0.75\n".to_owned());
    prometheus.holds("sum(load)", "0.75").await;
    let gone = now();

    let mut history = Recorded::default();
    read(&query(&prometheus, "load", 1, began - 10, gone + 30), &mut history).await.unwrap();
    let found: Vec<_> = history.by_step().collect();
    let [(a, 1, kept), (b, 1, ended)] = found[..] else { panic!("{found:?}") };
    assert!(a.contains("node=\"a\"") && b.contains("node=\"b \\\"c\\\"\""), "{a} {b}");
    let (&first, &last) = (ended.keys().min().unwrap(), ended.keys().max().unwrap());
    assert!(began <= first && last <= gone && last - first >= 3, "{ended:?}");
    assert!(kept.keys().max().unwrap() > &last, "the other one is looked back at: {kept:?}");
    assert!(ended.values().all(|&load| load == 1.5), "{ended:?}");
    // The change lies where the other series ended, give or take the step in which it happened.
    assert!(
        kept.iter().all(|(&step, &load)| load == if step <= last { 0.25 } else { 0.75 }),
        "{kept:?} {last}"
    );
}
