//! Loads from a Prometheus, for those who keep one: `query_range`, a page of steps at a time.
//!
//! The expression must give parts of capacity, 1.0 is full. What is asked and answered is documented under
//! <https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries>.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::http::{self, HttpError};
use crate::recorded::Recorded;

/// Steps of a page; Prometheus refuses more than 11,000.
const PAGE: i64 = 5_000;

/// Bytes of a page.
const MOST: usize = 64 << 20;

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Base URL, such as `http://prometheus.monitoring:9090`.
    pub url: String,
    /// The expression.
    pub expression: String,
    /// Seconds in a step.
    pub period: u32,
    /// The time that is asked for, unix seconds.
    pub from: i64,
    /// Its end.
    pub to: i64,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// Reads all pages.
///
/// # Errors
/// [`HttpError`]; what Prometheus says of a wrong expression is in it.
pub async fn read(query: &Query, into: &mut Recorded) -> Result<(), HttpError> {
    let period = i64::from(query.period.max(1));
    let last = query.to.div_euclid(period);
    let mut first = query.from.div_euclid(period) + 1;
    while first <= last {
        let end = last.min(first + PAGE - 1);
        let uri = http::parse(&url(query, first * period, end * period))?;
        let mut body = Vec::new();
        let mut outcome = Err(HttpError::Connection("the name has no address".to_owned()));
        for address in http::addresses(&uri).await? {
            body.clear();
            outcome = http::get(address, &uri, |bytes| {
                body.extend_from_slice(bytes);
                if body.len() <= MOST {
                    Ok(())
                } else {
                    Err(format!("a page holds more than {MOST} bytes; ask for fewer series"))
                }
            })
            .await;
            if !matches!(outcome, Err(HttpError::Connection(_))) {
                break;
            }
        }
        outcome?;
        take(&body, query.period, into)?;
        first = end + 1;
    }
    Ok(())
}

fn url(query: &Query, start: i64, end: i64) -> String {
    let (base, expression) = (query.url.trim_end_matches('/'), encoded(&query.expression));
    format!("{base}/api/v1/query_range?query={expression}&start={start}&end={end}&step={}", query.period)
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn take(body: &[u8], period: u32, into: &mut Recorded) -> Result<(), HttpError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| {
        HttpError::Content(format!("not the answer of a Prometheus to a range query: {error}"))
    })?;
    let Some(data) = answer.data.filter(|_| answer.status == "success") else {
        return Err(HttpError::Content(answer.error.unwrap_or(answer.status)));
    };
    for stream in data.result {
        let labels: Vec<String> =
            stream.metric.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let name = format!("{{{}}}", labels.join(","));
        for (time, value) in &stream.values {
            let step = (time / f64::from(period)).round() as i64;
            into.insert(&name, period, step, value.parse().unwrap_or(f64::NAN));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_answer_is_read_by_series_and_step() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"load","node":"a"},"values":[[1435781430.0,"0.5"],[1435781445.001,"NaN"],[1435781460,"1.25"]]},
            {"metric":{},"values":[[1435781430,"+Inf"]]}]},"warnings":["a warning"]}"#;
        let mut recorded = Recorded::default();
        take(body, 15, &mut recorded).unwrap();
        assert_eq!(recorded.len(), 2);
        assert!(format!("{recorded:?}").contains("95718762: 0.5"), "{recorded:?}");
    }

    #[test]
    fn what_is_wrong_with_the_expression_is_told() {
        let body =
            br#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end of input"}"#;
        let error = take(body, 15, &mut Recorded::default()).unwrap_err().to_string();
        assert!(error.contains("unexpected end"), "{error}");
        let error = take(b"<html>", 15, &mut Recorded::default()).unwrap_err().to_string();
        assert!(error.contains("Prometheus"), "{error}");
    }

    #[test]
    fn an_expression_travels_unharmed() {
        assert_eq!(encoded("a{b=\"c d\"}/2"), "a%7Bb%3D%22c%20d%22%7D%2F2");
    }
}
