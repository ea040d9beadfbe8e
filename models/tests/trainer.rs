//! The trainer: right gradients, equal bytes for equal seeds, and an export that computes what the network does.

use foreshift_models::contest::NETWORK;
use foreshift_models::episodes::episodes;
use foreshift_models::features::Features;
use foreshift_models::finetune::{FineTuning, evaluate, fine_tune};
use foreshift_models::network::Network;
use foreshift_models::release::{Release, quantiles};
use foreshift_models::training::{Batch, SIZES, Schedule, fit, learn, train};
use foreshift_models::windows::{Example, Mixture, Series};
use foreshift_models::{onnx, recipe};
use foreshift_predictor::Prediction;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

const TINY: Schedule = Schedule { steps: 60, batch: 32, peak_rate: 2e-3 };

fn some_windows() -> Mixture {
    recipe::mixture(&[], 64, 5)
}

fn examples(count: usize) -> Vec<Example> {
    let mut rng = Pcg64Mcg::seed_from_u64(11);
    let mixture = some_windows();
    (0..count).filter_map(|_| mixture.draw(&mut rng)).collect()
}

fn loss(network: &Network, examples: &[Example]) -> f64 {
    learn(network, &Batch::of(examples), &mut network.zeroed())
}

#[test]
fn gradients_agree_with_finite_differences() {
    let network = Network::random(&SIZES, &mut Pcg64Mcg::seed_from_u64(7));
    let examples = examples(8);
    let mut gradient = network.zeroed();
    learn(&network, &Batch::of(&examples), &mut gradient);
    let gradient: Vec<f32> = gradient.parameters().copied().collect();
    let largest = gradient.iter().fold(0.0_f32, |most, slope| most.max(slope.abs()));
    let nudge = 1e-3_f32;
    for (index, &found) in gradient.iter().enumerate().step_by(29) {
        let moved = |by: f32| {
            let mut moved = network.clone();
            moved.parameters_mut().skip(index).take(1).for_each(|value| *value += by);
            loss(&moved, &examples)
        };
        let expected = (moved(nudge) - moved(-nudge)) / f64::from(2.0 * nudge);
        // A kink of the loss or of a rectifier within the nudge costs a little; a wrong sign or factor costs far more.
        let allowed = 0.05 * expected.abs() + 0.01 * f64::from(largest);
        let found = f64::from(found);
        assert!((found - expected).abs() <= allowed, "parameter {index}: {found} instead of {expected}");
    }
}

#[test]
fn a_seed_gives_the_same_file_twice_and_another_seed_another() {
    let file = |seed| onnx::encode(&train(&some_windows(), seed, &TINY, |_, _| ()));
    assert!(file(3) == file(3), "training must not depend on anything but its arguments");
    assert!(file(3) != file(4));
}

#[test]
fn the_exported_graph_computes_what_the_network_computes() {
    let network = train(&some_windows(), 3, &TINY, |_, _| ());
    let model = Release::new(&network, 3, &TINY, Vec::new()).load().unwrap();
    for episode in episodes(40, 21) {
        let window = episode.loads[60..].first_chunk().unwrap();
        let features = Features::of(&window.map(|load| load as f32));
        let own = features.denormalise(&quantiles(&network, &features));
        let exported: Prediction = model.predict(window).unwrap();
        let exported = exported.iter().flat_map(|head| [head.p50, head.p90, head.p99]);
        for (own, exported) in own.iter().map(|&load| f64::from(load)).zip(exported) {
            assert!((own - exported).abs() <= 1e-5 * own.max(0.1), "{own} became {exported}");
        }
    }
}

#[test]
fn gaps_far_beyond_the_range_of_an_exponential_are_exported_unharmed() {
    let mut network = Network::random(&SIZES, &mut Pcg64Mcg::seed_from_u64(5));
    network.layers.last_mut().unwrap().biases.fill(500.0);
    Release::new(&network, 5, &TINY, Vec::new()).load().unwrap();
}

#[test]
fn learning_goes_on_from_given_weights() {
    let mixture = some_windows();
    let first = train(&mixture, 3, &TINY, |_, _| ());
    let gentle = Schedule { peak_rate: 5e-4, steps: 200, ..TINY };
    let further = fit(first.clone(), &mixture, &mut Pcg64Mcg::seed_from_u64(8), &gentle, |_, _| ());
    let examples = examples(400);
    assert!(loss(&further, &examples) < 0.97 * loss(&first, &examples));
}

/// Loads of a cluster with a habit of its own: a sharp peak every eleven steps.
fn habit(count: usize) -> Vec<Series> {
    let load = |step: usize| 0.3 + if step % 11 == 4 { 0.5 } else { 0.01 * (step % 3) as f64 };
    vec![Series::new("node-a", (0..count).map(load).collect())]
}

#[test]
fn fine_tuning_learns_what_is_peculiar_to_a_cluster_and_gives_the_same_file_twice() {
    let champion = Release::new(&train(&some_windows(), 3, &TINY, |_, _| ()), 3, &TINY, Vec::new());
    let how =
        FineTuning { schedule: Schedule { steps: 150, batch: 64, peak_rate: 2e-3 }, ..FineTuning::default() };
    let series = habit(1200);
    let challenger = fine_tune(&champion, &series, &how, 9).unwrap();
    assert_eq!(challenger, fine_tune(&champion, &series, &how, 9).unwrap());
    let pinball = |release: &Release| evaluate(&release.load().unwrap(), &series).pinball[NETWORK];
    assert!(pinball(&challenger) < 0.7 * pinball(&champion));
    assert_eq!(challenger.manifest.trained_on[0].windows, 801);
}

#[test]
fn fine_tuning_without_a_window_says_how_many_samples_it_takes() {
    let champion = Release::new(&train(&some_windows(), 3, &TINY, |_, _| ()), 3, &TINY, Vec::new());
    let error = fine_tune(&champion, &habit(40), &FineTuning::default(), 1).unwrap_err().to_string();
    assert!(error.contains("58 samples"), "{error}");
    assert!(
        fine_tune(&champion, &habit(58), &FineTuning { schedule: TINY, ..FineTuning::default() }, 1).is_ok()
    );
}

#[test]
fn a_file_that_this_trainer_did_not_write_is_not_trained_on() {
    let mut champion = Release::new(&train(&some_windows(), 3, &TINY, |_, _| ()), 3, &TINY, Vec::new());
    champion.onnx.truncate(5000);
    let error = fine_tune(&champion, &habit(200), &FineTuning::default(), 1).unwrap_err().to_string();
    assert!(error.contains("foreshift-trainer"), "{error}");
}
