//! The shipped model: that it is one and the same everywhere, that the operator accepts it, and that it is good.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foreshift_models::contest::{HOLT, LAST_VALUE, MODEL, NETWORK, Scores};
use foreshift_models::impact;
use foreshift_models::probes;
use foreshift_models::release::{Release, ReleaseError};
use foreshift_models::report::on_episodes;
use foreshift_predictor::Model;
use foreshift_predictor::evaluate::impact::{figures, replay};
use foreshift_predictor::impact::{ImpactModel, Predictor};

/// Another seed than that of training and of the report.
const SEED: u64 = 0xf100;

const EPISODES: usize = 160;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn shipped() -> Result<Model, ReleaseError> {
    Release::read(&here())?.load()
}

#[test]
fn the_chart_carries_the_same_files() {
    for name in ["load.onnx", "load.json"] {
        let ours = std::fs::read(here().join(name)).unwrap();
        let chart = std::fs::read(here().join("../charts/foreshift/files").join(name)).unwrap();
        assert!(ours == chart, "{name} differs: copy it from models/ to charts/foreshift/files/");
    }
}

#[test]
fn the_operator_accepts_it_and_every_golden_vector_holds() {
    let release = Release::read(&here()).unwrap();
    assert!(release.onnx.len() < 150_000 && release.json().unwrap().len() < 60_000);
    assert!(release.manifest.golden.len() >= 32);
    release.load().unwrap();
}

#[test]
fn its_card_describes_this_very_file() {
    let card = std::fs::read_to_string(here().join("CARD.md")).unwrap();
    assert!(
        card.contains(shipped().unwrap().digest()),
        "run `foreshift-trainer train` again: the card is of another file"
    );
}

#[test]
fn it_beats_both_baselines_on_fresh_episodes_and_its_p90_covers_what_it_promises() {
    let model = shipped().unwrap();
    let by_shape = on_episodes(EPISODES, SEED, &model);
    let all = Scores::mean(by_shape.iter().map(|(_, scores)| scores));
    assert!(all.ratio() < 0.85, "{:.3}", all.ratio());
    assert!((0.85..=0.95).contains(&all.coverage[MODEL][0]), "{:?}", all.coverage[MODEL]);
    assert!(all.coverage[MODEL][1] > 0.96, "{:?}", all.coverage[MODEL]);
    let ramps = &by_shape.iter().find(|(name, _)| name == "ramp").unwrap().1;
    assert!(ramps.ratio() < 0.75, "{:.3}", ramps.ratio());
}

#[test]
fn it_follows_a_noisy_ramp_and_stops_when_the_ramp_does() {
    let model = shipped().unwrap();
    let probe = probes::ramp(0.027, 0.05, &model);
    let [ours, holt, last_value] = [NETWORK, HOLT, LAST_VALUE].map(|who| probe.bias[who]);
    assert!(ours[1] > last_value[1] * 0.6, "lags {ours:?}, the last value {last_value:?}");
    let ([_, after_eight, _], holt_after) = (probe.overshoot[NETWORK], probe.overshoot[HOLT]);
    assert!(after_eight < holt_after[1] * 0.5, "promises {after_eight}, Holt {holt_after:?} (bias {holt:?})");
}

#[test]
fn it_is_calm_while_nothing_but_noise_happens() {
    let model = shipped().unwrap();
    let probe = probes::calm(0.05, &model);
    let [ours, holt] = [MODEL, HOLT].map(|who| probe.unrest[who]);
    assert!(ours < holt * 0.8, "p90 moves by {ours} sigma, Holt's by {holt}");
    assert!(probe.excess[MODEL].abs() < 0.3, "p90 is off by {} sigma", probe.excess[MODEL]);
}

#[test]
fn the_impact_model_predicts_the_measured_costs_of_entries_that_came_after_its_training() {
    let rows = impact::recording(&here().join("impact.csv.gz")).unwrap();
    let model = Arc::new(ImpactModel::shipped().unwrap());
    let estimates = replay(&rows, Predictor::new(Some(model)));
    let later: Vec<_> = rows.iter().zip(&estimates).skip(rows.len() * 6 / 10).collect();
    let [ours, class_average, _, ridge] = [0, 1, 2, 3].map(|who| figures(&later, who));
    assert!(ours.mdape < 0.15 && ours.mdape < ridge.mdape && ours.mdape < class_average.mdape, "{ours:?}");
    assert!(ours.sum60_error.unwrap() < 0.08, "{ours:?}");
    assert!((0.87..0.93).contains(&ours.coverage_p90.unwrap()), "{ours:?}");
}
