//! Whole reconciles against an API server in memory, with its faults.

use std::sync::Mutex;

use foreshift_api::{
    condition::{RouteCondition, find_condition},
    journal_route::{Hook, Mode, Phase, Trigger},
    resource_persona::{History, Window},
};
use kube::runtime::events::{Recorder, Reporter};
use prometheus_client::registry::Registry;

use super::*;
use crate::{
    fixtures::{
        ApiServer, EndpointWith, Fault, NOW, ServiceWith, World, endpoint, later, node, service, slice,
    },
    history::{
        store::Reader,
        writer::{self, Place},
    },
    lease::Leadership,
};

/// An operator with its cluster.
struct Operator {
    world: World,
    server: ApiServer,
    ctx: Context,
    state: State,
}

impl Operator {
    fn of(world: World) -> Self {
        let server = ApiServer::default();
        let client = server.client();
        let metrics = Metrics::register(&mut Registry::default());
        let reporter = Reporter { controller: "test".into(), instance: Some("test".into()) };
        let ctx = Context {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            caches: world.caches.clone(),
            gate: Gate::new(Leadership::for_ever(), metrics.clone()),
            hooks: hook::Caller::new(metrics.clone()),
            history: crate::history::History::off(metrics.clone()),
            metrics,
            models: watch::channel(Models::default()).1,
            ledger: Mutex::default(),
        };
        Self { world, server, ctx, state: State::default() }
    }

    /// One tick at so many seconds, after which the watches show what was written.
    async fn tick(&mut self, second: i64) -> Result<(), Error> {
        let route = self.world.route("journal");
        let result = reconcile(&route, &mut self.state, &self.ctx, later(second)).await;
        self.server.shown_to(&self.world, "journal");
        result
    }

    fn condition(&self, type_: RouteCondition) -> (String, String) {
        let status = self.server.status("journal").unwrap();
        let found = find_condition(&status.conditions, type_).unwrap();
        (format!("{}/{}", found.status, found.reason), found.message.clone())
    }

    fn edit(&self, change: impl FnOnce(&mut JournalRoute)) {
        let mut route = (*self.world.route("journal")).clone();
        change(&mut route);
        route.metadata.generation = route.metadata.generation.map(|generation| generation + 1);
        self.world.put_route(route);
    }
}

fn world() -> World {
    let world = World::with_route("journal").backend("a", "n1", 4).backend("b", "n2", 4);
    world.put_persona(node("n1").at_load(0.4).running("a", 0.4).persona(NOW));
    world.put_persona(node("n2").at_load(0.05).running("b", 0.0).persona(NOW));
    world
}

#[tokio::test]
async fn a_new_route_is_programmed_and_told_in_its_first_tick() {
    let mut operator = Operator::of(world());
    operator.tick(1).await.unwrap();
    assert_eq!(operator.server.listed("journal-a-ipv4"), Some(4));
    assert_eq!(operator.server.listed("journal-b-ipv4"), Some(0));
    let status = operator.server.status("journal").unwrap();
    assert_eq!((status.phase, status.lead_share.unwrap().permille()), (Phase::Steady, 1000));
    assert_eq!(operator.condition(RouteCondition::Programmed).0, "True/Programmed");
    assert_eq!(operator.condition(RouteCondition::Accepted).0, "True/Accepted");
    assert_eq!(operator.condition(RouteCondition::PersonasFresh).0, "True/Fresh");
    assert_eq!(operator.condition(RouteCondition::ForecastTrusted).0, "False/Fallback");
}

#[tokio::test]
async fn a_tick_in_which_nothing_happens_writes_nothing() {
    let mut operator = Operator::of(world());
    operator.tick(1).await.unwrap();
    operator.server.calls();
    for second in 2..6 {
        operator.tick(second).await.unwrap();
    }
    assert_eq!(operator.server.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_offered_to_the_lead_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut operator = Operator::of(world());
    let place = Place { folder: folder.path().into(), most: 1 << 20 };
    let (history, writer) = writer::new(place, operator.ctx.metrics.clone());
    operator.ctx.history = history;
    for second in 1..4 {
        let at = later(second);
        let window = |period: i64| Window {
            period: foreshift_api::Span::from_secs(period.unsigned_abs()),
            step: at.as_second() / period,
            load: vec![400; 32],
        };
        let windows = History { fine: window(2), coarse: window(15) };
        let lead = node("n1").at_load(0.4).running("a", 0.4);
        operator.world.put_persona(lead.with_windows(windows, vec![400; 32], vec![400; 32]).persona(at));
        operator.tick(second).await.unwrap();
    }
    drop(operator);
    tokio::task::spawn_blocking(|| writer.run()).await.unwrap();
    let rows = Reader::open(folder.path(), 0).unwrap().unwrap().page().unwrap();
    assert!(rows.iter().all(|row| row.series.ends_with("/journal/a") && row.period == 2));
    assert!(rows.windows(2).all(|pair| pair[1].time == pair[0].time + 2), "{rows:?}");
    assert!((33..=34).contains(&rows.len()), "a window, and the steps since: {rows:?}");
}

#[tokio::test]
async fn slices_edited_by_hand_are_put_back() {
    let mut operator = Operator::of(world());
    operator.tick(1).await.unwrap();
    let mut edited = operator.server.slices().remove("journal-a-ipv4").unwrap();
    edited.endpoints.truncate(1);
    operator.world.put_slice(edited);
    let route = operator.world.route("journal");
    reconcile(&route, &mut operator.state, &operator.ctx, later(4)).await.unwrap();
    assert!(operator.server.calls().contains(&"PATCH journal-a-ipv4".to_owned()));
    assert_eq!(operator.server.listed("journal-a-ipv4"), Some(4));
}

#[tokio::test]
async fn an_invalid_edit_is_told_and_the_last_valid_route_stays_in_force() {
    let mut operator = Operator::of(world());
    operator.tick(1).await.unwrap();
    operator.edit(|route| route.spec.alternates[0].service = "typo".into());
    operator.tick(2).await.unwrap();
    let (flag, message) = operator.condition(RouteCondition::ResolvedRefs);
    assert_eq!(flag, "False/ServiceNotFound");
    assert!(message.contains("`typo` does not exist"), "{message}");
    assert_eq!(operator.condition(RouteCondition::Programmed).0, "True/InForce");
    assert_eq!(operator.server.listed("journal-a-ipv4"), Some(4));
    let generation = operator.world.route("journal").metadata.generation;
    assert_eq!(operator.server.status("journal").unwrap().observed_generation, generation);
}

#[tokio::test]
async fn a_target_with_a_selector_is_never_written() {
    let selecting = service("journal").port("in", 80).selecting("app");
    let mut operator = Operator::of(world().service(selecting));
    operator.tick(1).await.unwrap();
    assert!(operator.server.slices().is_empty());
    assert_eq!(operator.condition(RouteCondition::ResolvedRefs).0, "False/TargetHasSelector");
    assert_eq!(operator.condition(RouteCondition::Programmed).0, "False/NotValid");
    assert_eq!(operator.server.status("journal").unwrap().phase, Phase::Degraded);
}

#[tokio::test]
async fn observe_writes_no_slices_and_suspend_keeps_the_shares() {
    let mut operator = Operator::of(world());
    operator.edit(|route| route.spec.mode = Mode::Observe);
    operator.tick(1).await.unwrap();
    assert!(operator.server.slices().is_empty());
    assert_eq!(operator.server.status("journal").unwrap().phase, Phase::Observing);
    operator.edit(|route| (route.spec.mode, route.spec.suspend) = (Mode::Active, true));
    operator.tick(3).await.unwrap();
    assert_eq!(operator.server.listed("journal-a-ipv4"), Some(4), "members still follow");
    assert_eq!(operator.server.status("journal").unwrap().phase, Phase::Suspended);
}

#[tokio::test]
async fn a_refused_write_is_told_and_tried_again() {
    for code in [409, 500] {
        let mut operator = Operator::of(world());
        operator.server.fail("endpointslices", Some(Fault::Status(code)));
        let error = operator.tick(1).await.unwrap_err();
        assert_eq!(error.kind(), "apply");
        let (flag, message) = operator.condition(RouteCondition::Programmed);
        assert_eq!(flag, "False/WriteFailed");
        assert!(message.contains(&code.to_string()), "{message}");
        operator.server.fail("endpointslices", None);
        operator.tick(2).await.unwrap();
        assert_eq!(operator.condition(RouteCondition::Programmed).0, "True/Programmed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_holds_a_write_up_for_five_seconds_and_no_longer() {
    let mut operator = Operator::of(world());
    operator.server.fail("endpointslices", Some(Fault::Hang));
    let begun = tokio::time::Instant::now();
    assert!(operator.tick(1).await.is_err());
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert!(operator.condition(RouteCondition::Programmed).1.contains("did not answer within 5 s"));
}

#[tokio::test]
async fn a_status_that_cannot_be_written_is_an_error_and_traffic_goes_on() {
    let mut operator = Operator::of(world());
    operator.server.fail("journalroutes", Some(Fault::Status(500)));
    assert_eq!(operator.tick(1).await.unwrap_err().kind(), "status");
    assert_eq!(operator.server.listed("journal-a-ipv4"), Some(4));
}

#[tokio::test]
async fn a_replica_that_does_not_lead_writes_nothing() {
    let mut operator = Operator::of(world());
    operator.ctx.gate = Gate::new(Leadership::never(), operator.ctx.metrics.clone());
    assert!(operator.tick(1).await.is_err());
    assert_eq!(operator.server.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn an_alternate_that_leaves_the_route_loses_its_slices_last() {
    let mut operator = Operator::of(world().backend("c", "n3", 2));
    operator.tick(1).await.unwrap();
    operator.edit(|route| route.spec.alternates[0].service = "c".into());
    operator.server.calls();
    operator.tick(2).await.unwrap();
    let calls = operator.server.calls();
    assert_eq!(calls[..2], ["PATCH journal-c-ipv4", "DELETE journal-b-ipv4"]);
}

#[tokio::test]
async fn a_saturated_lead_sheds_and_every_transition_is_told_once() {
    let mut operator = Operator::of(world());
    operator.tick(0).await.unwrap();
    for second in 1..12 {
        let at = later(second);
        operator.world.put_persona(node("n1").at_load(1.2).running("a", 1.0).persona(at));
        operator.world.put_persona(node("n2").at_load(0.05).running("b", 0.0).persona(at));
        operator.tick(second).await.unwrap();
    }
    let status = operator.server.status("journal").unwrap();
    assert!(status.lead_share.unwrap().permille() <= 800, "{status:?}");
    let decision = status.last_decision.unwrap();
    assert_eq!(decision.trigger, Trigger::Saturation);
    assert!(decision.why.contains("must go elsewhere"));
    let shifting = operator.server.events().iter().filter(|reason| *reason == "Shifting").count();
    assert_eq!(shifting, 1, "{:?}", operator.server.events());
}

#[tokio::test]
async fn a_hook_is_called_by_the_leader_and_the_first_share_waits_for_its_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = i32::from(listener.local_addr().unwrap().port());
    let served = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 512];
        let read = stream.read(&mut asked).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&asked[..read]).into_owned()
    });
    let mut operator = Operator::of(world());
    operator.world.put_slice(slice("b", "IPv4", vec![endpoint("b-0", "n2").at("127.0.0.1")]));
    operator.edit(|route| {
        let timeout = foreshift_api::Span::from_secs(5);
        route.spec.warm_up.hook = Some(Hook { path: "/warm".into(), port, timeout });
    });
    // Over the objective and not saturated, so that there is time for a hook.
    let busy = async |operator: &mut Operator, second: i64| {
        let at = later(second);
        let window = |period: i64| Window {
            period: foreshift_api::Span::from_secs(period.unsigned_abs()),
            step: at.as_second() / period,
            load: vec![850; 32],
        };
        let history = History { fine: window(2), coarse: window(15) };
        let lead = node("n1").at_load(0.85).running("a", 0.85);
        operator.world.put_persona(lead.with_windows(history, vec![850; 32], vec![850; 32]).persona(at));
        operator.world.put_persona(node("n2").at_load(0.05).running("b", 0.0).persona(at));
        operator.tick(second).await.unwrap();
    };
    let mut second = 0;
    while operator.state.calls.under_way() == 0 {
        second += 1;
        assert!(second < 60, "the hook was never called");
        busy(&mut operator, second).await;
    }
    assert_eq!(operator.server.listed("journal-b-ipv4"), Some(0), "nothing before the answer");
    assert_eq!(operator.condition(RouteCondition::Programmed).0, "True/Programmed");
    let asked = served.await.unwrap();
    assert!(asked.starts_with("POST /warm "), "{asked}");
    while operator.server.listed("journal-b-ipv4") == Some(0) {
        second += 1;
        assert!(second < 200, "no share after the answer");
        tokio::task::yield_now().await;
        busy(&mut operator, second).await;
    }
    assert_eq!(operator.condition(RouteCondition::HookAnswered).0, "True/Answered");
}
