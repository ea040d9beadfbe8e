//! A client in another language, with stubs made from the published proto by another compiler.

use std::{process::Stdio, sync::Arc};

use foreshift_frontends::{
    api::{AssignApi, grpc},
    assign::Outcome,
    serve::serve,
};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{assign::InTurn, program};

#[tokio::test]
async fn a_python_client_assigns_and_reports() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let assigner =
        Arc::new(InTurn::over(vec!["10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap()]));
    let api = Arc::new(AssignApi::new(assigner.clone(), 1));
    let frontend = tonic::service::Routes::new(grpc::service(api)).into_axum_router();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, frontend, async { drop(stopped.await) }));

    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/client.py");
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
    let client = tokio::process::Command::new(program("PYTHON"))
        .args(["-B", here, &address, protos])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(client.status.success(), "{}", String::from_utf8_lossy(&client.stderr));
    let reported = Outcome::Acknowledged(std::time::Duration::from_millis(10));
    assert_eq!(assigner.closed(), [("10.0.0.1:80".parse().ok(), reported)]);
    assert_eq!(assigner.assigned(), 102, "one, one of a batch, a hundred of a stream");
    stop.send(()).unwrap();
    server.await.unwrap();
}
