//! Whole runs: what must hold whatever the figures are.

use std::{collections::BTreeSet, path::Path};

use foreshift_simulator::{
    cluster::ShippedModel,
    figures::Figures,
    page,
    policies::{self, Settings},
    run::{self, Order, Report},
    scenario::Scenario,
    table,
};

fn scenario(demand: &str, more: &str) -> Scenario {
    let yaml = format!(
        "duration: 90s\nsettle: 40s\nresources:\n  a: {{nodes: [{{cores: 2}}], price: 0.1}}\n  b: {{nodes: [{{cores: 2}}], price: 0.2}}\n\
         classes: [{{name: order, workMs: 5}}]\nroute:\n  lead: {{service: a, port: 9428}}\n  alternates: [{{service: b, port: 9428}}]\n  \
         target: {{service: journal}}\ndemand: {{shape: {demand}}}\n{more}"
    );
    Scenario::parse(Path::new("s.yaml"), &yaml).expect("the scenario is sound")
}

fn run_over(scenario: &Scenario, seeds: u64) -> Report {
    let order = Order {
        scenario,
        trace: None,
        policies: &policies::ALL,
        first_seed: 3,
        seeds,
        settings: Settings::default(),
    };
    let model = ShippedModel::load().expect("the shipped model is sound");
    run::run(order, &model).expect("a drawn run cannot fail")
}

fn figures<'a>(report: &'a Report, policy: &str) -> &'a Figures {
    report.figures(policy).expect("every policy ran")
}

#[test]
fn all_policies_get_the_same_entries_and_a_seed_repeats_to_the_last_digit() {
    let scenario = scenario("{ramp: {from: 0.4, to: 1.3, over: 60s}}", "");
    let (report, again) = (run_over(&scenario, 2), run_over(&scenario, 2));
    let entries: BTreeSet<u64> = report.policies.iter().map(|outcome| outcome.figures.entries).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    for (one, other) in report.policies.iter().zip(&again.policies) {
        assert_eq!(one.figures, other.figures, "{}", one.policy.name);
    }
}

#[test]
fn with_room_on_the_lead_those_that_keep_it_move_nothing_and_those_that_spread_do() {
    let report = run_over(&scenario("{constant: {level: 0.4}}", ""), 1);
    for name in
        ["reactive_failover", "proportional_reactive", "foreshift_slices", "foreshift_weights", "oracle"]
    {
        assert!(figures(&report, name).mean_alternate_share < 0.01, "{name}: {:?}", figures(&report, name));
    }
    for name in ["static_weights", "round_robin", "weighted_round_robin", "p2c_peak_ewma", "prequal"] {
        let share = figures(&report, name).mean_alternate_share;
        assert!((0.4..0.6).contains(&share), "{name}: {share}");
    }
}

#[test]
fn beyond_the_leads_capacity_everybody_moves_and_nobody_does_better_than_the_oracle() {
    let report = run_over(&scenario("{constant: {level: 1.2}}", ""), 1);
    let oracle = figures(&report, "oracle");
    assert!(oracle.excess_work_ratio < 0.005, "{oracle:?}");
    for outcome in &report.policies {
        let figures = &outcome.figures;
        assert!(figures.mean_alternate_share > 0.15, "{}: {figures:?}", outcome.policy.name);
        assert!(
            figures.mean_alternate_share >= oracle.mean_alternate_share - 0.02,
            "{}",
            outcome.policy.name
        );
    }
}

#[test]
fn a_black_hole_and_a_lost_node_lose_what_is_sent_there() {
    for kind in ["blackHole", "nodeLoss"] {
        let more = format!("faults:\n- {{kind: {kind}, resource: b, from: 20s, to: 50s}}\n");
        let report = run_over(&scenario("{constant: {level: 0.6}}", &more), 1);
        let lost =
            figures(&report, "round_robin").lost as f64 / figures(&report, "round_robin").entries as f64;
        // Half of the entries of 30 s out of 90 s.
        assert!((0.15..0.18).contains(&lost), "{kind}: {lost}");
        assert_eq!(figures(&report, "oracle").lost, 0, "{kind}");
    }
}

#[test]
fn errors_are_no_fast_successes() {
    let more = "faults:\n- {kind: errors, resource: b, ratio: 1.0, answer: 1ms, from: 0s}\n";
    let report = run_over(&scenario("{constant: {level: 0.6}}", more), 1);
    let spread = figures(&report, "round_robin");
    assert!((0.45..0.55).contains(&spread.error_ratio) && spread.lost == 0, "{spread:?}");
    assert!(spread.p50_ms > 4.9, "an error has no latency: {spread:?}");
}

#[test]
fn reports_name_every_figure_of_every_policy() {
    let report = run_over(&scenario("{constant: {level: 0.6}}", ""), 1);
    let json = table::json(&report);
    let policies = json["policies"].as_object().unwrap();
    assert_eq!(policies.len(), policies::ALL.len());
    let keys: BTreeSet<&str> = policies["prequal"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "excess_work_ratio saturated_seconds mean_alternate_share first_shift_lead_time_s p50_ms p99_ms p999_ms error_ratio max_over_mean_load cost share_churn_per_min false_shift_ratio entries lost";
    assert_eq!(keys, expected.split(' ').collect());
    let page = page::page("a <scenario>", &report).unwrap();
    assert_eq!(page.matches("<svg").count(), policies::ALL.len());
    assert!(page.contains("a &lt;scenario&gt;") && !page.contains("href=") && !page.contains("src="));
}

#[test]
fn a_policy_that_is_none_is_told_with_those_that_are() {
    let told = policies::named(["prequal", "fastest"]).unwrap_err().to_string();
    assert!(told.contains("`fastest`") && told.contains("round_robin"), "{told}");
}
