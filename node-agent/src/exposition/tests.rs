use proptest::prelude::*;

use super::*;

const PAGE: &str = r#"# HELP http_server_request_duration_seconds Duration of HTTP server requests.
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{http_route="/a",http_response_status_code="200",le="0.1"} 7
http_server_request_duration_seconds_bucket{http_route="/a",http_response_status_code="200",le="+Inf"} 10
http_server_request_duration_seconds_sum{http_route="/a",http_response_status_code="200"} 1.5
http_server_request_duration_seconds_count{http_route="/a",http_response_status_code="200"} 10 # {trace_id="x"} 0.1
http_server_request_duration_seconds_sum{http_route="/a",http_response_status_code="503"} 0.001
http_server_request_duration_seconds_count{http_route="/a",http_response_status_code="503"} 4 1700000000
http_server_request_duration_seconds_sum { http_response_status_code = "200" , http_route = "say \"b\\n\"\n", } 2
http_server_request_duration_seconds_count { http_response_status_code = "200" , http_route = "say \"b\\n\"\n", } 3
http_server_request_duration_seconds_created{http_route="/a"} 1.7e9
http_server_request_duration_seconds_other_count{http_route="/a"} 99
go_goroutines 12
# EOF
"#;

fn read(observation: &Observation, page: &str, chunk: usize) -> Result<Page, PageError> {
    let query = Query::from(observation);
    let mut reader = Reader::new(&query);
    for chunk in page.as_bytes().chunks(chunk.max(1)) {
        reader.feed(chunk)?;
    }
    reader.finish()
}

fn totals(entries: f64, errors: f64, seconds: f64) -> Totals {
    Totals { entries, errors, seconds }
}

#[test]
fn a_page_of_opentelemetrys_convention_is_read_wherever_it_is_cut() {
    for chunk in [1, 2, 7, 100, usize::MAX] {
        let page = read(&Observation::default(), PAGE, chunk).unwrap();
        assert_eq!(page["/a"], totals(14.0, 4.0, 1.5), "the time of errors does not count");
        assert_eq!(page["say \"b\\n\"\n"], totals(3.0, 0.0, 2.0));
        assert_eq!(page.len(), 2);
    }
}

#[test]
fn any_other_histogram_is_read_by_its_names_and_unit() {
    let observation = Observation {
        duration_metric: "ingest_duration_ms".into(),
        class_label: "entry_type".into(),
        error_label: "outcome".into(),
        error_values: vec!["failed".into()],
        ..Observation::default()
    };
    let page = "ingest_duration_ms_sum{entry_type=\"audit\",outcome=\"ok\"} 500\n\
                ingest_duration_ms_count{entry_type=\"audit\",outcome=\"ok\"} 10\n\
                ingest_duration_ms_count{entry_type=\"audit\",outcome=\"failed\"} 1\n\
                ingest_duration_ms_sum 7\ningest_duration_ms_count 2";
    let page = read(&observation, page, 11).unwrap();
    assert_eq!(page["audit"], totals(11.0, 1.0, 0.5));
    assert_eq!(page["other"], totals(2.0, 0.0, 0.007), "without labels, and without a newline at the end");
}

#[test]
fn a_native_histogram_is_read_from_its_composite_value() {
    let observation = Observation { duration_metric: "d".into(), ..Observation::default() };
    let page =
        "d{http_route=\"/a\"} {count:17,sum:3.4,schema:0,zero_threshold:1e-05,positive_spans:[1:2]} st@1\n";
    assert_eq!(read(&observation, page, 3).unwrap()["/a"], totals(17.0, 0.0, 3.4));
    assert_eq!(read(&observation, "d {count:2,sum:1}\n", 3).unwrap()["other"], totals(2.0, 0.0, 1.0));
}

#[test]
fn a_time_that_is_not_told_is_no_short_time() {
    let observation = Observation { duration_metric: "d".into(), ..Observation::default() };
    for sum in ["NaN", "+Inf", "-1", "lots", ""] {
        let page = format!("d_count{{http_route=\"/a\"}} 5\nd_sum{{http_route=\"/a\"}} {sum}\n");
        assert!(read(&observation, &page, 9).unwrap()["/a"].seconds.is_nan(), "{sum}");
    }
    assert!(read(&observation, "d_count 5\n", 9).unwrap()["other"].seconds.is_nan());
    for count in ["NaN", "-5", "Inf"] {
        let page = format!("d_sum 1\nd_count {count}\n");
        let other = read(&observation, &page, 9).unwrap()["other"];
        assert!(other.entries == 0.0 && other.seconds.is_nan(), "{count}");
    }
}

#[test]
fn what_is_too_large_or_not_there_is_refused_with_the_reason() {
    let observation = Observation { duration_metric: "d".into(), ..Observation::default() };
    let long = "x".repeat(1 << 20) + "\n";
    assert_eq!(read(&observation, &long.repeat(9), 4096), Err(PageError::Bytes));
    assert_eq!(read(&observation, &"\n".repeat(LINES_MAX + 1), 4096), Err(PageError::Lines));
    let series: Vec<_> = (0..=SERIES_MAX).map(|n| format!("d_count{{http_route=\"{n}\"}} 1\n")).collect();
    assert_eq!(read(&observation, &series.concat(), 4096), Err(PageError::Series));
    assert_eq!(read(&observation, "up 1\n", 4096), Err(PageError::Absent));
    let skipped = format!("d_count{{a=\"{}\"}} 9\nd_count 1\nd_sum 2\n", "x".repeat(LINE_BYTES));
    for chunk in [100, usize::MAX] {
        assert_eq!(read(&observation, &skipped, chunk).unwrap()["other"], totals(1.0, 0.0, 2.0));
    }
}

#[test]
fn a_flood_of_classes_ends_in_other() {
    let observation = Observation { duration_metric: "d".into(), ..Observation::default() };
    let flood: Vec<_> = (0..1000)
        .map(|n| format!("d_count{{http_route=\"{n}\"}} 1\nd_sum{{http_route=\"{n}\"}} 2\n"))
        .collect();
    let page = read(&observation, &flood.concat(), 1000).unwrap();
    assert_eq!(page.len(), CLASSES_MAX + 1);
    assert_eq!(page["other"], totals(744.0, 0.0, 1488.0));
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk in 1_usize..40) {
        let query = Query::from(&Observation { duration_metric: "d".into(), ..Observation::default() });
        let mut reader = Reader::new(&query);
        for chunk in bytes.chunks(chunk) {
            reader.feed(chunk).unwrap();
        }
        if let Ok(page) = reader.finish() {
            prop_assert!(page.values().all(|totals| totals.entries.is_finite() && totals.errors <= totals.entries));
        }
    }
}
