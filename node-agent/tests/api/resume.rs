//! Where a started agent goes on.

use foreshift_api::{
    ResourcePersonaStatus, Span,
    resource_persona::{History, Window},
};
use foreshift_node_agent::{persona::Memory, resume::resume, store::Store};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fake::{Fault, PERSONA, Server};

fn status(second: i64) -> ResourcePersonaStatus {
    let window = Window { period: Span::from_secs(2), step: second / 2, load: vec![500] };
    ResourcePersonaStatus {
        observed_at: Some(Time(Timestamp::from_second(second).expect("the tests stay near 1970"))),
        history: Some(History { fine: window.clone(), coarse: window }),
        ..ResourcePersonaStatus::default()
    }
}

fn published(second: i64) -> Value {
    json!({
        "apiVersion": "foreshift.dev/v1alpha1", "kind": "ResourcePersona",
        "metadata": {"name": "n1"}, "spec": {}, "status": status(second),
    })
}

#[tokio::test(start_paused = true)]
async fn the_newer_of_file_and_published_persona_wins() {
    let folder = std::env::temp_dir().join(format!("foreshift-resume-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let store = Store::new(&folder);
    store.save(&Memory::from(status(2000))).unwrap();
    for (second, expected) in [(1000, 2000), (3000, 3000)] {
        let server = Server::default();
        server.put(PERSONA, published(second));
        let memory = resume(server.client(), "n1", Some(&store)).await.unwrap();
        assert_eq!(memory.status, status(expected));
    }
    std::fs::write(folder.join("persona.json"), "torn").unwrap();
    assert!(resume(Server::default().client(), "n1", Some(&store)).await.is_none(), "neither is there");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_api_server_delays_the_start_by_five_seconds_and_no_more() {
    for fault in [Fault::Hang, Fault::Status(500)] {
        let server = Server::default();
        server.put(PERSONA, published(1000));
        server.fail(&[fault]);
        let start = Instant::now();
        assert!(resume(server.client(), "n1", None).await.is_none());
        assert!(start.elapsed().as_secs() <= 5, "{fault:?}");
    }
}
