//! From an exported history to published objects, with days of loads in seconds.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use foreshift_models::contest::MODEL;
use foreshift_models::finetune::FineTuning;
use foreshift_models::prometheus::{self, Query};
use foreshift_models::publish::{self, publish};
use foreshift_models::recipe;
use foreshift_models::recorded::Recorded;
use foreshift_models::release::Release;
use foreshift_models::retrain::{Incumbents, Outcome, Start, retrain};
use foreshift_models::training::{Schedule, train};
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const TINY: Schedule = Schedule { steps: 60, batch: 32, peak_rate: 2e-3 };

fn champion() -> Release {
    Release::new(&train(&recipe::mixture(&[], 64, 5), 3, &TINY, |_, _| ()), 3, &TINY, Vec::new())
}

/// A history of one route with a habit: a sharp peak every eleven steps.
fn csv(steps: i64) -> String {
    let load = |step: i64| if step % 11 == 4 { 0.8 } else { 0.3 + 0.01 * (step % 3) as f64 };
    let lines =
        (0..steps).map(|step| format!("route/shop/journal/a,2,{},{:.3}\n", 886_000_000 + step, load(step)));
    std::iter::once("series,period_s,step,load\n".to_owned()).chain(lines).collect()
}

fn recorded(text: &str) -> Recorded {
    let mut recorded = Recorded::default();
    recorded.read(text.as_bytes()).unwrap();
    recorded
}

/// The shipped model forecasts.
fn alone(shipped: &Release) -> Incumbents<'_> {
    Incumbents { shipped, champion: None }
}

fn quick() -> FineTuning {
    FineTuning { schedule: Schedule { steps: 150, batch: 64, peak_rate: 2e-3 }, ..FineTuning::default() }
}

/// Answers every request with the next of some texts, then ends; gives what was asked for.
async fn server(answers: Vec<(&'static str, String)>) -> (SocketAddr, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            asked.push(String::from_utf8_lossy(&request).lines().next().unwrap().to_owned());
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
        asked
    });
    (address, served)
}

/// The program itself.
async fn trainer(arguments: Vec<String>) -> Output {
    let run =
        move || Command::new(env!("CARGO_BIN_EXE_foreshift-trainer")).arg("retrain").args(arguments).output();
    tokio::task::spawn_blocking(run).await.unwrap().unwrap()
}

/// An API server that keeps what it is sent, by path.
fn api_server() -> (kube::Client, Arc<Mutex<BTreeMap<String, Value>>>) {
    let objects: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
    let kept = objects.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let kept = kept.clone();
        async move {
            let (parts, body) = request.into_parts();
            let path = parts.uri.path().to_owned();
            let sent = body.collect_bytes().await.unwrap();
            let mut objects = kept.lock().unwrap();
            let answer = match parts.method.as_str() {
                "PATCH" => {
                    let sent: Value = serde_json::from_slice(&sent).unwrap();
                    objects.insert(path, sent.clone());
                    sent
                }
                "DELETE" => objects.remove(&path).unwrap(),
                _ => {
                    let items: Vec<Value> = objects
                        .iter()
                        .filter(|(key, _)| key.starts_with(&path))
                        .map(|(_, item)| item.clone())
                        .collect();
                    json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
                }
            };
            Ok::<_, Infallible>(Response::new(Body::from(serde_json::to_vec(&answer).unwrap())))
        }
    });
    (kube::Client::new(service, "default"), objects)
}

#[tokio::test]
async fn a_habit_of_the_cluster_is_learned_and_published_once() {
    let champion = champion();
    let outcome = retrain(alone(&champion), &recorded(&csv(1_600)), &quick(), 9).unwrap();
    assert!(outcome.to_string().contains("of the champion's"), "{outcome}");
    let Outcome::Better { release, .. } = outcome else { panic!("{outcome}") };

    let (client, objects) = api_server();
    let first = publish(client.clone(), "system", "night", &release).await.unwrap();
    assert_eq!((first.model.as_str(), first.deleted.len()), ("night-1", 0));
    let map = format!("/api/v1/namespaces/system/configmaps/{}", first.config_map);
    let files = objects.lock().unwrap()[&map].clone();
    let files: k8s_openapi::api::core::v1::ConfigMap = serde_json::from_value(files).unwrap();
    let onnx = files.binary_data.unwrap().remove("load.onnx").unwrap().0;
    let manifest =
        foreshift_predictor::Manifest::from_json(files.data.unwrap()["load.json"].as_bytes()).unwrap();
    foreshift_predictor::Model::load(&onnx, &manifest).unwrap();
    let model = objects.lock().unwrap()["/apis/foreshift.dev/v1alpha1/loadmodels/night-1"].clone();
    assert_eq!(model["spec"], json!({"source": {"configMap": {"name": first.config_map}}}));

    assert_eq!(
        publish(client.clone(), "system", "night", &release).await.unwrap(),
        first,
        "it is there already"
    );
    let second = publish(client.clone(), "system", "night", &champion).await.unwrap();
    assert_eq!((second.model.as_str(), second.deleted.len()), ("night-2", 0));

    // Both are turned down, so the next takes the place of the first, whose files go.
    for name in ["night-1", "night-2", "night-3"] {
        let path = format!("/apis/foreshift.dev/v1alpha1/loadmodels/{name}");
        let other = json!({"apiVersion": "foreshift.dev/v1alpha1", "kind": "LoadModel", "metadata": {"name": name},
            "spec": {"source": {"configMap": {"name": "mine"}}}});
        let mut objects = objects.lock().unwrap();
        objects.entry(path).or_insert(other)["status"] = json!({"role": "Rejected"});
    }
    let third = Release {
        manifest: foreshift_predictor::Manifest { sha256: "0".repeat(64), ..champion.manifest.clone() },
        ..champion
    };
    let third = publish(client, "system", "night", &third).await.unwrap();
    assert_eq!((third.model.as_str(), third.deleted), ("night-1", vec![first.config_map]));
}

#[tokio::test]
async fn the_next_night_starts_from_the_model_that_was_promoted() {
    let shipped = champion();
    let first = retrain(alone(&shipped), &recorded(&csv(1_600)), &quick(), 9).unwrap();
    let Outcome::Better { release: first, trial } = first else { panic!("{first}") };
    assert_eq!(trial.from, Start::Shipped);

    let (client, objects) = api_server();
    assert!(publish::champion(client.clone(), "system").await.unwrap().is_none());
    let published = publish::publish(client.clone(), "system", "night", &first).await.unwrap();
    let path = format!("/apis/foreshift.dev/v1alpha1/loadmodels/{}", published.model);
    objects.lock().unwrap().get_mut(&path).unwrap()["status"] = json!({"role": "Champion"});
    let (name, promoted) = publish::champion(client, "system").await.unwrap().unwrap();
    let promoted = promoted.unwrap();
    assert_eq!((name.as_str(), &promoted), ("night-1", &*first));

    let incumbents = Incumbents { shipped: &shipped, champion: Some(&promoted) };
    let second = retrain(incumbents, &recorded(&csv(1_600)), &quick(), 10).unwrap();
    let Outcome::Better { trial, .. } = &second else { panic!("{second}") };
    assert_eq!(trial.from, Start::Champion, "{second}");
    assert!(trial.champion.pinball[MODEL] < trial.shipped.pinball[MODEL], "{second}");
}

#[test]
fn what_is_not_better_is_not_published_and_too_little_says_how_much_is_needed() {
    let lines = (0..1_600).map(|step| format!("node/a,15,{step},0.5\n"));
    let flat: String = std::iter::once("series,period_s,step,load\n".to_owned()).chain(lines).collect();
    let still =
        FineTuning { schedule: Schedule { steps: 1, batch: 1, peak_rate: 1e-9 }, ..FineTuning::default() };
    let outcome = retrain(alone(&champion()), &recorded(&flat), &still, 1).unwrap();
    assert!(matches!(outcome, Outcome::NotBetter(_)), "{outcome}");
    let outcome = retrain(alone(&champion()), &recorded(&csv(600)), &still, 1).unwrap();
    assert_eq!(outcome, Outcome::TooLittle { samples: 600, judged: 141 });
    assert!(outcome.to_string().contains("300 are needed"), "{outcome}");
}

#[tokio::test]
async fn the_program_reads_a_history_over_http_and_ends_well_without_enough_of_it() {
    let (address, served) = server(vec![("200 OK", csv(100))]).await;
    let folder = tempfile::tempdir().unwrap();
    let champion = champion();
    fs::write(folder.path().join("load.onnx"), &champion.onnx).unwrap();
    fs::write(folder.path().join("load.json"), champion.json().unwrap()).unwrap();
    let with = |history: String| {
        let folder = folder.path().display();
        vec![format!("--history={history}"), format!("--shipped={folder}"), format!("--out={folder}/out")]
    };
    let done = trainer(with(format!("http://{address}/history"))).await;
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.contains("too little history: 100 samples"), "{told}");
    assert!(served.await.unwrap()[0].starts_with("GET /history?since="));
    assert!(!folder.path().join("out").exists());

    let (address, _) = server(vec![("404 Not Found", "no history is kept".to_owned())]).await;
    let done = trainer(with(format!("http://{address}/history"))).await;
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && told.contains("no history is kept"), "{told}");
}

#[tokio::test]
async fn a_prometheus_is_asked_page_by_page() {
    let page = |from: i64| {
        let values: Vec<Value> = (0..3).map(|step| json!([from + 15 * step, "0.5"])).collect();
        json!({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {"node": "a"}, "values": values}]}})
            .to_string()
    };
    let (address, served) = server(vec![("200 OK", page(15)), ("200 OK", page(75_015))]).await;
    let mut query = Query {
        url: format!("http://{address}"),
        expression: "sum(x) / 2".to_owned(),
        period: 15,
        from: 0,
        to: 15 * 6_000,
    };
    let mut recorded = Recorded::default();
    prometheus::read(&query, &mut recorded).await.unwrap();
    assert_eq!(recorded.len(), 6);
    let asked = served.await.unwrap();
    assert!(asked[0].contains("query=sum%28x%29%20%2F%202&start=15&end=75000&step=15"), "{asked:?}");
    assert!(asked[1].contains("start=75015&end=90000"), "{asked:?}");

    let refusal = json!({"status": "error", "errorType": "bad_data", "error": "parse error"}).to_string();
    let (address, _) = server(vec![("400 Bad Request", refusal)]).await;
    query.url = format!("http://{address}");
    let error = prometheus::read(&query, &mut recorded).await.unwrap_err().to_string();
    assert!(error.contains("400") && error.contains("parse error"), "{error}");
}
