//! Pods that answer metrics over loopback: honest ones, and those that mean harm.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

use std::net::{IpAddr, SocketAddr};

use foreshift_api::{journal_route::Observation, resource_persona::WorkloadSpec};
use foreshift_engine::persona::affinity::Batch;
use foreshift_node_agent::{
    entries::{Answered, Observer, ScrapeError, TIMEOUT, may_be_a_pod, scrape},
    exposition::{PageError, Query, Totals},
    metrics::Metrics,
};
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};

/// A pod that answers every request with these bytes, as they are when asked, over and over if `endless`.
async fn pod(answer: watch::Receiver<String>, endless: bool) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.borrow().clone();
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let Ok(1..) = stream.read(&mut request).await else { return };
                while stream.write_all(answer.as_bytes()).await.is_ok() && endless {}
            });
        }
    });
    address
}

fn response(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}")
}

fn page(entries: u32, errors: u32, seconds: f64) -> String {
    let metric = "http_server_request_duration_seconds";
    let ok = r#"{http_route="/audit",http_response_status_code="200"}"#;
    let failed = r#"{http_route="/audit",http_response_status_code="503"}"#;
    let body = format!(
        "{metric}_sum{ok} {seconds}\n{metric}_count{ok} {}\n{metric}_sum{failed} 0.1\n{metric}_count{failed} {errors}\n",
        entries - errors
    );
    response("200 OK", &body)
}

/// What a pod that answers like this is taken for; a machine too busy to answer in time is asked again.
async fn answered(answer: &str, endless: bool) -> Result<Totals, ScrapeError> {
    let (_keep, answer) = watch::channel(answer.to_owned());
    let pod = pod(answer, endless).await;
    let query = Query::from(&Observation::default());
    for _ in 0..10 {
        match scrape(pod, "/metrics", &query).await {
            Err(ScrapeError::Timeout) => {}
            page => return page.map(|page| page["/audit"]),
        }
    }
    Err(ScrapeError::Timeout)
}

#[tokio::test]
async fn a_page_is_read_and_what_is_none_is_refused_with_the_reason() {
    let totals = answered(&page(10, 2, 0.5), false).await.unwrap();
    assert_eq!(totals, Totals { entries: 10.0, errors: 2.0, seconds: 0.5 });
    let cases = [
        (response("200 OK\r\nContent-Encoding: gzip", "\u{1f}"), "encoded"),
        (response("404 Not Found", ""), "status"),
        (response("302 Found\r\nLocation: http://169.254.169.254/", ""), "status"),
        (response("200 OK", "up 1\n"), "absent"),
        (response("200 OK\r\nContent-Length: 99", "up 1\n"), "http"),
        ("SSH-2.0-OpenSSH_9.9\r\n".into(), "http"),
        (String::new(), "http"),
        // A bomb that does not say so is never unpacked: it is a page without the histogram.
        (response("200 OK", "\u{1f}\u{8b}\u{8}\0\0\0\0\0"), "absent"),
    ];
    for (answer, kind) in cases {
        let error = answered(&answer, false).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{answer}: {error}");
    }
}

#[tokio::test]
async fn an_endless_page_is_left_at_its_bound() {
    let answer = response("200 OK", &"# nothing\n".repeat(1000));
    let error = answered(&answer, true).await.unwrap_err();
    let bounded =
        matches!(error, ScrapeError::Page(PageError::Bytes | PageError::Lines) | ScrapeError::Timeout);
    assert!(bounded, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_never_answers_is_left_in_time() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let query = Query::from(&Observation::default());
    let error = scrape(address, "/metrics", &query).await.unwrap_err();
    assert_eq!(error.kind(), "timeout");
}

#[tokio::test]
async fn a_pod_that_answers_a_byte_now_and_then_is_left_in_time() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // An answer that comes before the question is no HTTP.
        let _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(response("200 OK", "").as_bytes()).await.ok();
        while stream.write_all(b"#").await.is_ok() {
            tokio::time::sleep(TIMEOUT / 10).await;
        }
    });
    let error = scrape(address, "/metrics", &Query::from(&Observation::default())).await.unwrap_err();
    assert_eq!(error.kind(), "timeout");
}

fn workload(pods: &[SocketAddr]) -> WorkloadSpec {
    WorkloadSpec {
        namespace: "shop".into(),
        service: "journal-a".into(),
        metrics: Some(Observation { port: i32::from(pods[0].port()), ..Observation::default() }),
        addresses: pods.iter().map(|pod| pod.ip().to_string()).collect(),
        ..WorkloadSpec::default()
    }
}

async fn look(observer: &mut Observer, workload: &WorkloadSpec) -> Answered {
    for _ in 0..10 {
        let look = observer.look(std::slice::from_ref(workload)).await.pop().unwrap();
        if look.failure.as_ref().is_none_or(|failure| !failure.contains("within")) {
            return look;
        }
    }
    panic!("the pod never answers in time");
}

#[tokio::test]
async fn two_looks_tell_what_was_answered_between_them() {
    let (tell, answer) = watch::channel(page(100, 10, 5.0));
    let pod = pod(answer, false).await;
    let everywhere = |_: IpAddr| true;
    let mut observer = Observer::new(Metrics::register(&mut Registry::default()), everywhere);
    let workload = workload(&[pod]);
    let first = look(&mut observer, &workload).await;
    assert_eq!((first.pods, first.classes.len(), first.failure), (0, 0, None));
    tell.send_replace(page(150, 15, 7.5));
    let second = look(&mut observer, &workload).await;
    assert_eq!(second.classes["/audit"], Batch { entries: 50.0, errors: 5.0, seconds: 2.5 });
    tell.send_replace(page(20, 0, 1.0));
    assert!(look(&mut observer, &workload).await.classes.is_empty(), "the process began anew");
    tell.send_replace(response("503 Service Unavailable", ""));
    let failed = look(&mut observer, &workload).await;
    assert!(failed.pods == 0 && failed.failure.unwrap().contains("503"));
}

#[tokio::test]
async fn addresses_that_are_no_pods_are_not_asked() {
    let (_keep, answer) = watch::channel(page(1, 0, 1.0));
    let pod = pod(answer, false).await;
    let mut observer = Observer::new(Metrics::register(&mut Registry::default()), may_be_a_pod);
    let look = observer.look(&[workload(&[pod])]).await.pop().unwrap();
    assert!(look.failure.unwrap().contains("not the address of a pod"));
}
