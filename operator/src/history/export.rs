//! `GET /history?since=UNIX_SECONDS`: the history as CSV, from old to new, a page at a time and only as fast as it is read.

use std::{path::PathBuf, sync::Arc};

use axum::{
    body::Body,
    extract::RawQuery,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use super::store::{Reader, Row, StoreError};

/// First line of an answer; `step` is unix time over `period_s`, loads are 1.0 where a node is full.
pub const HEADER: &str = "series,period_s,step,load\n";

/// Exports at once: each holds a page, some 250 KiB.
const AT_ONCE: usize = 2;

/// What is exported, if anything is kept.
#[derive(Clone, Debug)]
pub struct Export {
    folder: Option<PathBuf>,
    permits: Arc<Semaphore>,
}

impl Export {
    /// The history in a folder.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The answer to a request.
    pub async fn answer(self, RawQuery(query): RawQuery) -> Response {
        let Some(folder) = self.folder else {
            return refuse(
                StatusCode::NOT_FOUND,
                "no history is kept: start the operator with --history-dir\n",
            );
        };
        let Some(since) = since(query.as_deref().unwrap_or_default()) else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "give since=SECONDS, whole seconds since 1970, or nothing\n",
            );
        };
        let Ok(permit) = self.permits.try_acquire_owned() else {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "two exports are under way: try again later\n");
        };
        let opened = tokio::task::spawn_blocking(move || Reader::open(&folder, since)).await;
        match opened.map_err(|error| error.to_string()).and_then(|reader| reader.map_err(|e| e.to_string())) {
            Ok(reader) => {
                let rest = stream::unfold(reader.map(|reader| (reader, permit)), next);
                let head = stream::iter([Ok(HEADER.to_owned())]);
                let body = Body::from_stream(futures::StreamExt::chain(head, rest));
                ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], body).into_response()
            }
            Err(error) => {
                warn!(error, "the history cannot be read");
                refuse(StatusCode::INTERNAL_SERVER_ERROR, "the history cannot be read; the log says why\n")
            }
        }
    }
}

type Open = Option<(Reader, OwnedSemaphorePermit)>;

/// The next page as text. An error ends the answer before its regular end, which every client notices.
async fn next(open: Open) -> Option<(Result<String, StoreError>, Open)> {
    let (mut reader, permit) = open?;
    let read = move || {
        let page = reader.page();
        (page, reader)
    };
    let (page, reader) = tokio::task::spawn_blocking(read).await.ok()?;
    match page {
        Ok(rows) if rows.is_empty() => None,
        Ok(rows) => Some((Ok(text(&rows)), Some((reader, permit)))),
        Err(error) => {
            warn!(%error, "an export of the history broke off");
            Some((Err(error), None))
        }
    }
}

fn text(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let (whole, rest) = (row.permille / 1000, row.permille % 1000);
        format!("{},{},{},{whole}.{rest:03}\n", row.series, row.period, row.time / row.period.max(1))
    };
    rows.iter().map(line).collect()
}

/// The value of `since`, 0 without one.
fn since(query: &str) -> Option<i64> {
    match query.split('&').find_map(|pair| pair.strip_prefix("since=")) {
        Some(text) => text.parse().ok().filter(|&since| since >= 0),
        None => query.is_empty().then_some(0),
    }
}

fn refuse(code: StatusCode, why: &'static str) -> Response {
    (code, why).into_response()
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;
    use crate::history::{Samples, store::Store};

    fn query(text: &str) -> RawQuery {
        RawQuery(Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    async fn answered(export: &Export, text: &str) -> (StatusCode, String) {
        let answer = export.clone().answer(query(text)).await;
        let code = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_history_is_told_from_old_to_new_since_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), 1 << 20).unwrap();
        let samples = |series: &str, period, first, loads: &[f64]| Samples {
            series: series.into(),
            period,
            first,
            loads: loads.to_vec(),
        };
        store
            .append(&[samples("node/n1", 15, 10, &[0.5, 1.25]), samples("route/a/b/c", 2, 80, &[0.0])])
            .unwrap();
        let export = Export::new(Some(folder.path().into()));
        let all =
            "series,period_s,step,load\nnode/n1,15,10,0.500\nroute/a/b/c,2,80,0.000\nnode/n1,15,11,1.250\n";
        assert_eq!(answered(&export, "").await, (StatusCode::OK, all.into()));
        let late = "series,period_s,step,load\nnode/n1,15,11,1.250\n";
        assert_eq!(answered(&export, "since=161").await, (StatusCode::OK, late.into()));
    }

    #[tokio::test]
    async fn many_pages_come_whole_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), 1 << 24).unwrap();
        let batch: Vec<Samples> = (0..3)
            .map(|n| Samples { series: format!("node/{n}"), period: 15, first: 0, loads: vec![0.1; 4000] })
            .collect();
        store.append(&batch).unwrap();
        let (_, text) = answered(&Export::new(Some(folder.path().into())), "").await;
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines.len(), 12_000);
        for (index, line) in lines.iter().enumerate() {
            assert_eq!(*line, format!("node/{},15,{},0.100", index % 3, index / 3));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_answered_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let export = Export::new(Some(folder.path().into()));
        assert_eq!(answered(&export, "").await, (StatusCode::OK, HEADER.into()), "nothing is kept yet");
        for wrong in ["since=yesterday", "since=-1", "until=5"] {
            assert_eq!(answered(&export, wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
        }
        assert_eq!(answered(&Export::new(None), "").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn no_more_than_two_are_served_at_once_and_one_that_is_given_up_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), 1 << 20).unwrap();
        store.append(&[Samples { series: "s".into(), period: 2, first: 0, loads: vec![0.1] }]).unwrap();
        let export = Export::new(Some(folder.path().into()));
        let mut open = Vec::new();
        for _ in 0..AT_ONCE {
            let mut body = export.clone().answer(query("")).await.into_body().into_data_stream();
            assert!(body.next().await.is_some_and(|head| head.is_ok()));
            open.push(body);
        }
        assert_eq!(answered(&export, "").await.0, StatusCode::SERVICE_UNAVAILABLE);
        open.pop();
        assert_eq!(answered(&export, "").await.0, StatusCode::OK);
    }
}
