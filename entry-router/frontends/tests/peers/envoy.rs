//! A real Envoy in front of real resources, with the picker as its external processor.

use std::{net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use foreshift_frontends::{assign::Outcome, envoy, serve::serve};
use tokio::{net::TcpListener, process::Child, sync::oneshot, task::JoinHandle, time::sleep};

use crate::{
    assign::InTurn,
    http::{post_entry, resource},
    program,
};

/// Envoy, the picker and two resources.
struct Gateway {
    address: SocketAddr,
    assigner: Arc<InTurn>,
    resources: Vec<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
    stop: oneshot::Sender<()>,
    picker: JoinHandle<()>,
    envoy: Child,
    folder: PathBuf,
}

impl Gateway {
    /// A gateway whose listener is for this route, with request bodies sent in this mode.
    async fn start(route: &str, body: &str) -> Self {
        let ((one, first), (two, second)) = (resource().await, resource().await);
        let assigner = Arc::new(InTurn::over(vec![one, two]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let picker = listener.local_addr().unwrap();
        let frontend = tonic::service::Routes::new(envoy::service(assigner.clone(), None)).into_axum_router();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(listener, frontend, async { drop(stopped.await) }));

        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let folder =
            std::env::temp_dir().join(format!("foreshift-envoy-{}-{}", std::process::id(), free.port()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = include_str!("envoy.yaml")
            .replace("@LISTEN@", &free.port().to_string())
            .replace("@PICKER@", &picker.port().to_string())
            .replace("@ONE@", &one.port().to_string())
            .replace("@TWO@", &two.port().to_string())
            .replace("@ROUTE@", route)
            .replace("@BODY@", body)
            .replace("@TRAILER@", if body == "NONE" { "SKIP" } else { "SEND" });
        std::fs::write(folder.join("envoy.yaml"), config).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let envoy = tokio::process::Command::new(program("ENVOY"))
            .args([
                "--concurrency",
                "1",
                "--use-dynamic-base-id",
                "--disable-hot-restart",
                "-l",
                "warning",
                "-c",
            ])
            .arg(folder.join("envoy.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let tasks = vec![first, second];
        let mut gateway = Self {
            address: free,
            assigner,
            resources: vec![one, two],
            tasks,
            stop,
            picker: served,
            envoy,
            folder,
        };
        gateway.ready().await;
        gateway
    }

    async fn ready(&mut self) {
        for _ in 0..600 {
            let ended = self.envoy.try_wait().unwrap();
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(ended.is_none(), "Envoy ended: {}", log());
            if tokio::net::TcpStream::connect(self.address).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("Envoy does not listen");
    }

    async fn post(&self, headers: &str, body: &str) -> (u16, String) {
        post_entry(self.address, headers, body).await.unwrap()
    }

    /// Waits until the assigner heard of so many entries.
    async fn closed(&self, entries: usize) -> Vec<(Option<SocketAddr>, Outcome)> {
        for _ in 0..600 {
            if self.assigner.closed().len() >= entries {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        self.assigner.closed()
    }

    async fn stop(mut self) {
        self.envoy.kill().await.unwrap();
        self.stop.send(()).unwrap();
        self.picker.await.unwrap();
        for task in self.tasks {
            task.abort();
        }
        std::fs::remove_dir_all(self.folder).unwrap();
    }
}

#[tokio::test]
async fn every_entry_goes_where_it_was_assigned_and_its_outcome_comes_back() {
    for body in ["NONE", "FULL_DUPLEX_STREAMED"] {
        let gateway = Gateway::start("shop/journal", body).await;
        let entry = "MESSAGE=hello\n".repeat(5000);
        for i in 0..10 {
            let (status, answer) =
                gateway.post("x-gateway-destination-endpoint: 10.9.9.9:1\r\n", &entry).await;
            let (first, other) = (gateway.resources[i % 2], gateway.resources[(i + 1) % 2]);
            let expected = format!("{first} {} {first},{other}", entry.len());
            assert_eq!((status, answer), (200, expected), "{body}: whatever the client asked for");
        }
        let closed = gateway.closed(10).await;
        assert_eq!(closed.len(), 10);
        for (i, (endpoint, outcome)) in closed.into_iter().enumerate() {
            assert_eq!(endpoint, Some(gateway.resources[i % 2]));
            assert!(matches!(outcome, Outcome::Acknowledged(_)), "{outcome:?}");
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_dead_endpoint_costs_no_entry_and_the_one_that_served_is_counted() {
    let mut gateway = Gateway::start("shop/journal", "NONE").await;
    let dead = gateway.tasks.remove(0);
    dead.abort();
    drop(dead.await);
    for _ in 0..6 {
        let (status, answer) = gateway.post("", "MESSAGE=x\n").await;
        assert_eq!(status, 200, "{answer}");
        assert!(answer.starts_with(&gateway.resources[1].to_string()), "{answer}");
    }
    let closed = gateway.closed(6).await;
    let alive = Some(gateway.resources[1]);
    assert!(closed.iter().all(|(endpoint, _)| *endpoint == alive), "{closed:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn what_cannot_be_assigned_is_answered_at_once() {
    for (route, code) in [("shop/full", 429), ("shop/empty", 503)] {
        let gateway = Gateway::start(route, "NONE").await;
        let (status, answer) = gateway.post("", "MESSAGE=x\n").await;
        assert_eq!(status, code);
        assert!(!answer.is_empty());
        gateway.stop().await;
    }
}
