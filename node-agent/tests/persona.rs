//! The fold from samples to a status, fed by hand.

use std::time::Duration;

use foreshift_api::{
    Decimal, ResourcePersonaStatus, Span,
    journal_route::{ClassReference, Observation},
    resource_persona::{AffinityObserver, CostSpec, Dimension, WattsSource, WorkloadSpec},
};
use foreshift_engine::persona::{
    affinity::Batch,
    load::Usage,
    score::{PowerModel, Prices},
};
use foreshift_node_agent::{
    entries::Answered,
    persona::{Costing, HALF_LIFE, Identity, Memory, Persona, Report, STATUS_BYTES, Surroundings},
    sample::{Sample, WorkloadSample},
};
use proptest::prelude::*;

/// A wall clock that is on a step of both grids.
const START: f64 = 1_800_000_000.0;

fn persona(costing: Costing, memory: Option<Memory>, unix: f64) -> Persona {
    let identity = Identity { source: "cgroup v1 kc/n1".into(), boot_id: "0a1b".into() };
    Persona::new(identity, costing, HALF_LIFE, memory, unix)
}

fn fresh() -> Persona {
    persona(Costing::default(), None, START)
}

fn usage(capacity: f64, used: f64) -> Usage {
    Usage { capacity, used, pressure: Some(0.0), throttled: Some(0.0) }
}

/// A second at `load` of two cores.
fn sample(unix: f64, load: f64) -> Sample {
    Sample {
        unix,
        elapsed: Duration::from_secs(1),
        uptime: Duration::from_hours(2),
        cpu: usage(2.0, 2.0 * load),
        memory: Usage { capacity: 8e9, used: 1e9, ..Usage::default() },
        ..Sample::default()
    }
}

fn workload(name: &str, cores: f64) -> WorkloadSample {
    WorkloadSample {
        namespace: "shop".into(),
        service: name.into(),
        pods: 2,
        cpu: Usage { capacity: 1.0, used: cores, pressure: None, throttled: Some(0.0) },
        memory: Usage { capacity: 1e9, used: 1e8, ..Usage::default() },
        restarts: 0.0,
    }
}

fn ready() -> Surroundings {
    Surroundings { ready: Some(true), ..Surroundings::default() }
}

/// Feeds one sample a second until `start + seconds`.
fn feed(persona: &mut Persona, start: f64, seconds: u32, load: f64) {
    for second in 1..=seconds {
        persona.observe(sample(start + f64::from(second), load), &ready());
    }
}

fn report(persona: &mut Persona) -> Report {
    persona.report(&ready()).expect("there is a sample")
}

fn condition(status: &ResourcePersonaStatus, type_: &str) -> (String, String, i64) {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_).expect("it is there");
    let since = condition.last_transition_time.0.as_second() - START as i64;
    (condition.status.clone(), condition.reason.clone(), since)
}

#[test]
fn a_steady_load_fills_both_windows_and_is_the_load_that_is_shown() {
    let mut persona = fresh();
    assert!(persona.report(&ready()).is_none(), "nothing is told before the first sample");
    feed(&mut persona, START, 61, 0.5);
    let Report { status, snapshot } = report(&mut persona);
    let (capacity, history, scores) =
        (status.capacity.unwrap(), status.history.unwrap(), status.scores.unwrap());
    assert_eq!((capacity.limiting, capacity.load.get()), (Dimension::Cpu, 0.5));
    assert_eq!((capacity.cpu.used.get(), capacity.source.as_str()), (1.0, "cgroup v1 kc/n1"));
    assert_eq!((scores.capacity, scores.stability, scores.affinity, scores.cost), (50, 100, 50, 50));
    assert_eq!(history.fine.load, [500; 30]);
    assert_eq!(history.coarse.load, [500; 4]);
    assert_eq!(history.fine.step * 2, START as i64 + 60);
    assert_eq!(status.observed_at.unwrap().0.as_second(), START as i64 + 61);
    assert!((snapshot.load - 0.5).abs() < 1e-9 && snapshot.observed.is_none());
}

#[test]
fn the_shown_load_follows_within_seconds_and_not_every_twitch() {
    let mut persona = fresh();
    feed(&mut persona, START, 30, 0.2);
    feed(&mut persona, START + 30.0, 1, 1.0);
    let twitch = report(&mut persona).snapshot.load;
    assert!((0.5..0.7).contains(&twitch), "{twitch}");
    feed(&mut persona, START + 31.0, 4, 1.0);
    assert!(report(&mut persona).snapshot.load > 0.94);
}

#[test]
fn saturating_turns_at_the_objective_and_back_only_well_below_it() {
    let mut persona = fresh();
    let mut at = START;
    for (load, status, since) in
        [(0.5, "False", 1), (0.95, "True", 40), (0.87, "True", 40), (0.8, "False", 80), (0.87, "False", 80)]
    {
        for _ in 0..20 {
            feed(&mut persona, at, 1, load);
            at += 1.0;
            report(&mut persona);
        }
        let (turned, _, turned_at) = condition(&report(&mut persona).status, "Saturating");
        assert_eq!(turned, status, "at {load}");
        assert!((turned_at - since).abs() < 25, "at {load}: turned after {turned_at} s, not about {since}");
    }
}

#[test]
fn a_node_that_cannot_be_sampled_or_is_not_ready_says_so() {
    let mut persona = fresh();
    feed(&mut persona, START, 5, 0.2);
    assert_eq!(condition(&report(&mut persona).status, "Ready"), ("True".into(), "Sampled".into(), 5));
    persona.failed("cannot read cpu.stat: gone".into());
    let status = report(&mut persona).status;
    assert_eq!(condition(&status, "Ready").1, "NotSampled");
    assert!(status.conditions.iter().any(|condition| condition.message.contains("cpu.stat")));
    feed(&mut persona, START + 5.0, 1, 0.2);
    let not_ready = Surroundings { ready: Some(false), ..ready() };
    assert_eq!(condition(&persona.report(&not_ready).unwrap().status, "Ready").1, "NodeNotReady");
}

#[test]
fn a_node_whose_kubelet_evicts_has_no_memory_left_whatever_is_counted() {
    let mut persona = fresh();
    feed(&mut persona, START, 10, 0.2);
    let evicts = Surroundings { evicts: true, ..ready() };
    persona.observe(sample(START + 11.0, 0.2), &evicts);
    let Report { status, snapshot } = persona.report(&evicts).unwrap();
    assert_eq!((snapshot.load, snapshot.scores.capacity), (1.0, 0.0));
    assert_eq!(condition(&status, "Saturating").0, "True");
    assert_eq!(status.capacity.unwrap().limiting, Dimension::Memory);
    assert!(report(&mut persona).snapshot.load < 0.3, "and has it again when the kubelet is done");
}

#[test]
fn waiting_for_disks_lowers_capacity_and_is_no_load() {
    let mut persona = fresh();
    for second in 1..=20 {
        let waiting = Sample { disk: Some(0.5), ..sample(START + f64::from(second), 0.4) };
        persona.observe(waiting, &ready());
    }
    let Report { status, snapshot } = report(&mut persona);
    assert_eq!(
        (status.scores.unwrap().capacity, status.capacity.unwrap().disk_pressure),
        (45, Decimal::new(0.5).into())
    );
    assert!((snapshot.load - 0.4).abs() < 1e-9);
    feed(&mut persona, START + 20.0, 1, 0.4);
    assert_eq!(report(&mut persona).status.capacity.unwrap().disk_pressure, None, "it is not known any more");
}

#[test]
fn a_restarted_agent_goes_on_from_its_memory_or_from_what_it_had_published() {
    let mut before = fresh();
    for second in 1..=120 {
        let mut sample = sample(START + f64::from(second), 0.6);
        sample.workloads = vec![workload("journal-a", 0.5)];
        sample.workloads[0].restarts = f64::from(u8::from(second == 60));
        before.observe(sample, &Surroundings { ready: Some(second > 60), ..ready() });
    }
    let memory = before.memory(&ready()).unwrap();
    let published = Memory::from(memory.status.clone());
    for memory in [memory.clone(), published] {
        let mut after = persona(Costing::default(), Some(memory.clone()), START + 122.0);
        let mut sample = sample(START + 123.0, 0.6);
        sample.workloads = vec![workload("journal-a", 0.5)];
        after.observe(sample, &ready());
        let (old, new) = (&memory.status, report(&mut after).status);
        let loads = |status: &ResourcePersonaStatus| status.history.clone().unwrap().fine.load;
        assert_eq!(loads(&new), [600; 32]);
        assert_eq!(loads(&new).len(), loads(old).len());
        assert_eq!(new.workloads[0].fine, [500; 32]);
        assert_eq!(condition(&new, "Ready"), condition(old, "Ready"));
        let stability = |status: &ResourcePersonaStatus| status.stability.clone().unwrap();
        let (old, new) = (stability(old), stability(&new));
        assert!((old.ready_ratio.get() - new.ready_ratio.get()).abs() < 1e-3);
        assert!((old.restarts.get() - new.restarts.get()).abs() < 0.02 && new.restarts.get() > 0.9);
    }
}

#[test]
fn the_newer_of_two_memories_is_the_one_that_counts() {
    let at = |seconds| {
        let mut persona = fresh();
        feed(&mut persona, START, seconds, 0.2);
        persona.memory(&ready())
    };
    assert_eq!(Memory::newer(at(3), at(9)), at(9));
    assert_eq!(Memory::newer(at(9), at(3)), at(9));
    assert_eq!(Memory::newer(None, at(3)), at(3));
    assert_eq!(Memory::newer(at(3), None), at(3));
    assert_eq!(Memory::newer(None, None), None);
}

#[test]
fn a_clock_that_jumps_moves_the_windows_and_no_average() {
    let mut persona = fresh();
    feed(&mut persona, START, 60, 0.5);
    let stability = report(&mut persona).status.stability;
    for jumped in [START - 86_400.0, START + 86_400.0] {
        feed(&mut persona, jumped, 10, 0.5);
        let status = report(&mut persona).status;
        assert_eq!(status.history.unwrap().fine.step * 2, jumped as i64 + 10);
        assert_eq!(status.stability.clone().unwrap().ready_ratio, stability.clone().unwrap().ready_ratio);
        assert_eq!(status.stability.unwrap().contention, Decimal::default());
    }
}

#[test]
fn the_price_in_the_persona_wins_over_the_flags_field_by_field() {
    let costing = Costing {
        prices: Prices { node: Some(0.5), licences: Some(0.1), kilowatt_hour: Some(0.4) },
        power: Some(PowerModel { idle: 100.0, busy: 300.0 }),
        reference: Some(0.3),
    };
    let mut persona = persona(costing, None, START);
    feed(&mut persona, START, 10, 0.5);
    let own = CostSpec { hourly_price: Some(Decimal::new(0.12)), ..CostSpec::default() };
    let Report { status, .. } = persona.report(&Surroundings { cost: Some(own), ..ready() }).unwrap();
    let cost = status.cost.unwrap();
    assert_eq!((cost.watts.get(), cost.watts_source), (200.0, WattsSource::Model));
    assert_eq!(cost.hourly, Decimal::new(0.3));
    assert_eq!(status.scores.unwrap().cost, 50);
    let flags = report(&mut persona).status.cost.unwrap();
    assert_eq!(flags.hourly, Decimal::new(0.68));
}

#[test]
fn a_node_without_prices_shows_no_cost_and_scores_neutral() {
    let mut persona = fresh();
    feed(&mut persona, START, 2, 0.5);
    let status = report(&mut persona).status;
    assert_eq!((status.cost, status.scores.unwrap().cost), (None, 50));
}

#[test]
fn observed_services_have_series_on_the_grid_of_the_history() {
    let mut persona = fresh();
    feed(&mut persona, START, 40, 0.5);
    for second in 41..=60 {
        let mut sample = sample(START + f64::from(second), 0.5);
        sample.workloads = vec![workload("journal-a", 0.25), workload("journal-b", 0.1)];
        persona.observe(sample, &ready());
    }
    let Report { status, snapshot } = report(&mut persona);
    let rows: Vec<_> = status.workloads.iter().map(|row| (row.service.as_str(), row.pods)).collect();
    assert_eq!(rows, [("journal-a", 2), ("journal-b", 2)]);
    assert_eq!(status.workloads[0].fine, [250; 10], "steps 21 to 30 of the history");
    assert_eq!(status.workloads[0].load, Decimal::new(0.25));
    assert!((snapshot.observed.unwrap() - 0.175).abs() < 1e-9);
    feed(&mut persona, START + 60.0, 1, 0.5);
    assert!(report(&mut persona).status.workloads.is_empty(), "nobody asks for them any more");
}

#[test]
fn a_full_status_stays_under_8_kib_and_keeps_the_busiest_services() {
    let mut persona = fresh();
    for second in 1..=600 {
        let mut sample = sample(START + f64::from(second), 1.0);
        sample.workloads =
            (0..64).map(|index| workload(&format!("journal-of-team-{index:02}"), f64::from(index))).collect();
        persona.observe(sample, &ready());
    }
    let status = report(&mut persona).status;
    let bytes = serde_json::to_vec(&status).unwrap().len();
    assert!((STATUS_BYTES - 600..=STATUS_BYTES).contains(&bytes), "{bytes} bytes");
    let busiest = status.workloads.last().unwrap();
    assert_eq!(busiest.service, "journal-of-team-63");
    assert_eq!(status.history.unwrap().coarse.load.len(), 32);
}

/// What files of the kernel could hold at worst, and numbers that are none.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..4.0_f64, -1e15..1e15_f64, Just(f64::NAN), Just(f64::INFINITY)]
}

fn any_usage() -> impl Strategy<Value = Usage> {
    let part = || prop::option::of(any_number());
    let parts = (any_number(), any_number(), part(), part());
    parts.prop_map(|(capacity, used, pressure, throttled)| Usage { capacity, used, pressure, throttled })
}

proptest! {
    #[test]
    fn whatever_is_sampled_gives_a_status_in_bounds(
        usages in prop::collection::vec((any_usage(), any_usage(), any_usage(), 0.0..1e4_f64), 1..40),
        half_life in 0_u64..100_000,
    ) {
        let half_life = Span::from_secs(half_life);
        let mut persona = Persona::new(Identity::default(), Costing::default(), half_life, None, START);
        let mut unix = START;
        for (cpu, memory, network, gap) in usages {
            unix += gap;
            let mut sample = Sample { cpu, memory, network, ..sample(unix, 0.0) };
            sample.workloads = vec![WorkloadSample { cpu, memory, restarts: gap, ..workload("a", 0.0) }];
            persona.observe(sample, &ready());
            let Report { status, snapshot } = report(&mut persona);
            let scores = status.scores.unwrap();
            for score in [scores.capacity, scores.stability, scores.affinity, scores.cost] {
                prop_assert!((0..=100).contains(&score));
            }
            prop_assert!(snapshot.load.is_finite());
            prop_assert!(serde_json::to_vec(&status).unwrap().len() <= STATUS_BYTES);
            let again: ResourcePersonaStatus = serde_json::from_slice(&serde_json::to_vec(&status).unwrap()).unwrap();
            prop_assert_eq!(again, status);
        }
    }
}

/// A look at pods of `service` after two seconds: entries of one class, errors among them, seconds of the others.
fn look(service: &str, class: &str, entries: f64, errors: f64, seconds: f64) -> Answered {
    Answered {
        namespace: "shop".into(),
        service: service.into(),
        elapsed: Duration::from_secs(2),
        classes: [(class.to_owned(), Batch { entries, errors, seconds })].into(),
        pods: 1,
        failure: None,
    }
}

/// A minute in which `journal-a` answers 100 entries a second, and what the node knows of the other resources.
fn answering(persona: &mut Persona, errors: f64, service_time: f64, surroundings: &Surroundings) {
    for second in 1..=60 {
        let mut sample = sample(START + f64::from(second), 0.3);
        sample.workloads = vec![workload("journal-a", 0.3)];
        persona.observe(sample, surroundings);
        if second % 2 == 0 {
            let served = 200.0 - errors;
            persona.answered(&look("journal-a", "audit", 200.0, errors, served * service_time));
        }
    }
}

fn compared_with(time_to_success: f64) -> Surroundings {
    let reference = ClassReference { class: "audit".into(), time_to_success: Decimal::new(time_to_success) };
    let workload = WorkloadSpec {
        namespace: "shop".into(),
        service: "journal-a".into(),
        metrics: Some(Observation::default()),
        reference: vec![reference],
        ..WorkloadSpec::default()
    };
    Surroundings { workloads: vec![workload], ..ready() }
}

#[test]
fn entries_that_pods_answer_become_rate_errors_and_affinity() {
    let mut persona = fresh();
    let surroundings = compared_with(0.02);
    answering(&mut persona, 0.0, 0.01, &surroundings);
    let status = persona.report(&surroundings).unwrap().status;
    let row = &status.workloads[0];
    assert_eq!(row.entries_per_second.unwrap().get(), 100.0);
    assert_eq!(row.error_ratio.unwrap().get(), 0.0);
    let class = &status.affinity[0];
    assert_eq!((class.class.as_str(), class.score, class.observer), ("audit", 67, AffinityObserver::Agent));
    assert_eq!(class.mean_service_time.unwrap().get(), 0.01);
    assert_eq!((status.scores.unwrap().affinity, status.scores.unwrap().stability), (67, 100));
    assert_eq!(condition(&status, "Observed").0, "True");
}

#[test]
fn errors_lower_stability_and_affinity_however_fast_they_are() {
    let mut persona = fresh();
    let surroundings = compared_with(0.02);
    answering(&mut persona, 100.0, 0.01, &surroundings);
    let status = persona.report(&surroundings).unwrap().status;
    let ratio = status.workloads[0].error_ratio.unwrap().get();
    assert!((0.45..=0.5).contains(&ratio), "{ratio}");
    assert!((50..=51).contains(&status.affinity[0].score), "twice as fast, half of it in vain: {status:?}");
    assert!((50..=52).contains(&status.scores.unwrap().stability));
}

#[test]
fn pods_that_fall_silent_are_not_known_any_more_and_the_reason_is_told() {
    let mut persona = fresh();
    let surroundings = compared_with(0.02);
    answering(&mut persona, 0.0, 0.01, &surroundings);
    let failure = Some("10.0.0.7:9464: no whole page within 1500 ms".to_owned());
    persona.answered(&Answered { pods: 0, failure, ..look("journal-a", "audit", 0.0, 0.0, 0.0) });
    for second in 61..=80 {
        let mut sample = sample(START + f64::from(second), 0.3);
        sample.workloads = vec![workload("journal-a", 0.3)];
        persona.observe(sample, &surroundings);
    }
    let status = persona.report(&surroundings).unwrap().status;
    assert_eq!((status.workloads[0].entries_per_second, status.workloads[0].error_ratio), (None, None));
    let observed = status.conditions.iter().find(|condition| condition.type_ == "Observed").unwrap();
    assert_eq!(observed.reason, "NotRead");
    assert!(observed.message.contains("shop/journal-a: 10.0.0.7:9464"), "{}", observed.message);
}

#[test]
fn what_was_learned_of_entries_outlives_a_restart() {
    let mut before = fresh();
    let surroundings = compared_with(0.02);
    answering(&mut before, 20.0, 0.01, &surroundings);
    let memory = before.memory(&surroundings).unwrap();
    let mut after = persona(Costing::default(), Some(memory.clone()), START + 61.0);
    after.observe(sample(START + 62.0, 0.3), &surroundings);
    let [before, after] = [memory.status, after.report(&surroundings).unwrap().status];
    assert!((before.affinity[0].score - after.affinity[0].score).abs() <= 1);
    assert!((before.scores.unwrap().stability - after.scores.unwrap().stability).abs() <= 1);
}

#[test]
fn a_flood_of_classes_stays_within_the_budget() {
    let mut persona = fresh();
    let surroundings = compared_with(0.02);
    answering(&mut persona, 0.0, 0.01, &surroundings);
    for n in 0..500 {
        let class = format!("{n:03}{}", "\"".repeat(60));
        persona.answered(&look("journal-a", &class, 1000.0, 10.0, 1.0));
    }
    let report = persona.report(&surroundings).unwrap();
    assert!(!report.status.affinity.is_empty() && report.status.affinity.len() <= 32);
    assert!(serde_json::to_vec(&report.status).unwrap().len() <= STATUS_BYTES);
    assert!(!report.status.workloads[0].fine.is_empty(), "the series of the Service fit too");
}

#[test]
fn stability_forgets_by_half_in_a_half_life_over_restarts_and_clock_jumps() {
    const STEP: u32 = 10;
    let half_life = HALF_LIFE.get().as_secs() as u32;
    let mut now = fresh();
    let (mut wall, mut passed) = (START, 0);
    let mut go = |persona: &mut Persona, seconds: u32, ready: bool, restarts: f64| {
        for step in 0..seconds / STEP {
            wall += f64::from(STEP);
            passed += STEP;
            // An hour in which the clock is a day ahead.
            let shown = if (30_000..33_600).contains(&passed) { wall + 86_400.0 } else { wall };
            let mut sample = Sample { elapsed: Duration::from_secs(u64::from(STEP)), ..sample(shown, 0.1) };
            let restarts = if step == 0 { restarts } else { 0.0 };
            sample.workloads = vec![WorkloadSample { restarts, ..workload("journal-a", 0.1) }];
            persona.observe(sample, &Surroundings { ready: Some(ready), ..Surroundings::default() });
        }
        wall
    };
    let told = |persona: &mut Persona| {
        let stability = report(persona).status.stability.unwrap();
        (1.0 - stability.ready_ratio.get(), stability.restarts.get())
    };
    let within = |value: f64, theory: f64| {
        assert!((value / theory - 1.0).abs() < 0.02, "{value} is not within 2 % of {theory}");
    };
    // The script: an hour not Ready that ends with four restarts; a restart of the agent; a half-life of calm.
    go(&mut now, half_life, true, 0.0);
    go(&mut now, 3600, false, 0.0);
    let wall = go(&mut now, STEP, true, 4.0);
    let (away, restarts) = told(&mut now);
    within(away, 1.0 - (-3600.0 / f64::from(half_life)).exp2());
    within(restarts, 4.0);
    let mut now = persona(Costing::default(), now.memory(&ready()), wall);
    go(&mut now, half_life, true, 0.0);
    let (still_away, still_restarts) = told(&mut now);
    within(still_away, away / 2.0);
    within(still_restarts, 2.0);
}

#[test]
fn another_boot_begins_afresh_and_counts_as_a_restart() {
    let mut before = fresh();
    feed(&mut before, START, 10, 0.5);
    for second in 11..=7200 {
        let mut sample = sample(START + f64::from(second), 0.5);
        sample.cpu.pressure = Some(0.9);
        before.observe(sample, &Surroundings { ready: Some(false), ..Surroundings::default() });
    }
    let memory = before.memory(&ready()).unwrap();
    let again = |boot_id: &str| {
        let identity = Identity { boot_id: boot_id.into(), ..Identity::default() };
        let mut after =
            Persona::new(identity, Costing::default(), HALF_LIFE, Some(memory.clone()), START + 7201.0);
        feed(&mut after, START + 7201.0, 1, 0.5);
        report(&mut after).status.stability.unwrap()
    };
    let (same, other) = (again("0a1b"), again("ffff"));
    assert!(same.ready_ratio.get() < 0.9 && same.contention.get() > 0.1 && same.restarts.get() == 0.0);
    assert_eq!((other.ready_ratio.get(), other.contention.get(), other.restarts.get()), (1.0, 0.0, 1.0));
}

#[test]
fn measured_power_wins_over_the_model_and_entries_have_a_price() {
    let costing = Costing {
        prices: Prices { node: Some(0.36), kilowatt_hour: Some(0.3), ..Prices::default() },
        power: Some(PowerModel { idle: 50.0, busy: 150.0 }),
        reference: None,
    };
    let mut persona = persona(costing, None, START);
    let surroundings = compared_with(0.02);
    answering(&mut persona, 0.0, 0.01, &surroundings);
    let cost = persona.report(&surroundings).unwrap().status.cost.unwrap();
    assert_eq!((cost.watts_source, cost.watts.get()), (WattsSource::Model, 80.0));
    let mut measured = sample(START + 61.0, 0.15);
    measured.workloads = vec![workload("journal-a", 0.3)];
    measured.watts = Some(200.0);
    persona.observe(measured, &surroundings);
    let cost = persona.report(&surroundings).unwrap().status.cost.unwrap();
    assert_eq!((cost.watts_source, cost.watts.get(), cost.hourly.get()), (WattsSource::Rapl, 200.0, 0.42));
    // 0.42 an hour for 360,000 entries an hour.
    assert!((cost.per_million_entries.unwrap().get() - 0.42 / 0.36).abs() < 0.02, "{cost:?}");
}

#[test]
fn labels_of_the_node_are_prices_between_the_flags_and_the_spec() {
    let costing = Costing {
        prices: Prices { node: Some(1.0), licences: Some(1.0), kilowatt_hour: None },
        ..Costing::default()
    };
    let mut persona = persona(costing, None, START);
    feed(&mut persona, START, 1, 0.5);
    let labels = Prices { node: Some(2.0), licences: None, kilowatt_hour: None };
    let hourly = |persona: &mut Persona, cost: Option<CostSpec>| {
        let surroundings = Surroundings { labels, cost, ..ready() };
        persona.report(&surroundings).unwrap().status.cost.unwrap().hourly.get()
    };
    assert_eq!(hourly(&mut persona, None), 3.0);
    let own = CostSpec { hourly_price: Some(Decimal::new(4.0)), ..CostSpec::default() };
    assert_eq!(hourly(&mut persona, Some(own)), 5.0);
}
