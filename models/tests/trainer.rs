//! The trainer: right gradients, equal bytes for equal seeds, and an export that computes what the network does.

use foreshift_models::episodes::episodes;
use foreshift_models::features::Features;
use foreshift_models::network::{Network, OUTPUTS, PARAMETERS};
use foreshift_models::release::Release;
use foreshift_models::training::{Schedule, fit, learn, train};
use foreshift_models::windows::{Example, Mixture};
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
    let mut ignored = vec![0.0; PARAMETERS];
    examples.iter().map(|example| learn(network, example, &mut ignored)).sum()
}

#[test]
fn gradients_agree_with_finite_differences() {
    let network = Network::random(&mut Pcg64Mcg::seed_from_u64(7));
    let examples = examples(8);
    let mut gradient = vec![0.0; PARAMETERS];
    for example in &examples {
        learn(&network, example, &mut gradient);
    }
    let largest = gradient.iter().fold(0.0_f32, |most, slope| most.max(slope.abs()));
    let nudge = 1e-3_f32;
    for index in (0..PARAMETERS).step_by(13) {
        let moved = |by: f32| {
            let mut moved = network.clone();
            moved.parameters[index] += by;
            loss(&moved, &examples)
        };
        let expected = (moved(nudge) - moved(-nudge)) / f64::from(2.0 * nudge);
        let found = f64::from(gradient[index]);
        // A kink of the loss or of a rectifier within the nudge costs a little; a wrong sign or factor costs far more.
        let allowed = 0.05 * expected.abs() + 0.01 * f64::from(largest);
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
        let own = features.denormalise(&network.forward(&features.values).quantiles);
        let exported: Prediction = model.predict(window).unwrap();
        let exported = exported.iter().flat_map(|head| [head.p50, head.p90, head.p99]);
        for (own, exported) in own.iter().map(|&load| f64::from(load)).zip(exported) {
            assert!((own - exported).abs() <= 1e-5 * own.max(0.1), "{own} became {exported}");
        }
    }
}

#[test]
fn gaps_far_beyond_the_range_of_an_exponential_are_exported_unharmed() {
    let mut network = Network::random(&mut Pcg64Mcg::seed_from_u64(5));
    for bias in &mut network.parameters[PARAMETERS - OUTPUTS..] {
        *bias = 500.0;
    }
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
