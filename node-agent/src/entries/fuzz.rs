//! A workload answers anything, lies, or begins anew at every look: the persona stays one.

use std::{collections::BTreeMap, time::Duration};

use foreshift_api::{Span, journal_route::Observation, resource_persona::WorkloadSpec};
use proptest::prelude::*;

use super::{Answered, counters::Counters};
use crate::{
    exposition::{Query, Reader},
    fuzz::{disfigured, fuzz, is_sound, number},
    persona::{Costing, Identity, Persona, Surroundings},
    sample::{Sample, WorkloadSample},
};

const SOUND: &str = "# TYPE d histogram\nd_bucket{http_route=\"/a\",le=\"+Inf\"} 10\n\
    d_sum{http_route=\"/a\",http_response_status_code=\"200\"} 1.5\n\
    d_count{http_route=\"/a\",http_response_status_code=\"200\"} 10 # {trace_id=\"x\"} 0.1\n\
    d_count{http_route=\"/a\",http_response_status_code=\"503\"} 4 1700000000\n\
    d{http_route=\"/b\"} {count:17,sum:3.4,schema:0}\n# EOF\n";

/// A line of the histogram, or nearly.
fn line() -> impl Strategy<Value = String> {
    let series =
        prop::sample::select(vec!["d_sum", "d_count", "d", "d_bucket", "d_created", "d_counter", "up"]);
    let class = prop_oneof![
        4 => prop::sample::select(vec!["/a", "/b", "", "other", "a\\\"b", "\u{1f}\u{8b}"]).prop_map(str::to_owned),
        1 => "[a-z/\\\\\"{}=, ]{0,80}",
    ];
    let code = prop::sample::select(vec!["200", "503", "5", "", "x"]);
    let value = prop_oneof![
        5 => number(),
        1 => (number(), number()).prop_map(|(count, sum)| format!("{{count:{count},sum:{sum}}}")),
    ];
    (series, prop::option::of((class, code)), value).prop_map(|(series, labels, value)| match labels {
        Some((class, code)) => {
            format!("{series}{{http_route=\"{class}\",http_response_status_code=\"{code}\"}} {value}\n")
        }
        None => format!("{series} {value}\n"),
    })
}

fn page() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(line(), 0..12).prop_map(|lines| lines.concat().into_bytes()),
        2 => disfigured(SOUND),
    ]
}

#[test]
fn pages_of_workloads() {
    let observation = Observation { duration_metric: "d".into(), ..Observation::default() };
    let query = Query::from(&observation);
    let workload = WorkloadSpec { metrics: Some(observation), ..WorkloadSpec::default() };
    let surroundings = Surroundings { workloads: vec![workload], ..Surroundings::default() };
    let looks = prop::collection::vec((page(), 1_usize..200, 0_u64..100), 1..6);
    fuzz(&looks, |looks| {
        let half_life = Span::from_secs(3600);
        let mut persona = Persona::new(Identity::default(), Costing::default(), half_life, None, 0.0);
        let (mut counters, mut unix) = (Counters::default(), 0.0);
        for (page, chunk, seconds) in looks {
            let elapsed = Duration::from_secs(seconds);
            unix += elapsed.as_secs_f64();
            let workloads = vec![WorkloadSample::default()];
            persona.observe(Sample { unix, elapsed, workloads, ..Sample::default() }, &surroundings);
            let mut reader = Reader::new(&query);
            let mut look = Answered { elapsed, ..Answered::default() };
            let read = page.chunks(chunk).try_for_each(|chunk| reader.feed(chunk));
            match read.and_then(|()| reader.finish()) {
                Ok(page) => {
                    for (class, totals) in &page {
                        prop_assert!(
                            totals.errors <= totals.entries && totals.entries >= 0.0,
                            "{class}: {totals:?}"
                        );
                    }
                    let mut classes = BTreeMap::new();
                    look.pods = usize::from(counters.rise(page, &mut classes));
                    look.classes = classes;
                }
                Err(error) => look.failure = Some(error.to_string()),
            }
            let failed = look.failure.is_some();
            persona.answered(&look);
            let conditions = is_sound(&mut persona, &surroundings)?;
            let observed = conditions.iter().find(|it| it.type_ == "Observed").map(|it| it.reason.as_str());
            prop_assert_eq!(observed, Some(if failed { "NotRead" } else { "Read" }));
        }
        Ok(())
    });
}
