//! Spoilt copies of the shipped model: refused with a reason, or still answering quantiles; never a panic.
//!
//! `FUZZ_CASES` says how many are tried (1,000 where it is not set). The digest in the manifest is made to fit each
//! copy, so that every other check gets its turn.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

use std::env;

use foreshift_engine::forecast::Quantiles;
use foreshift_predictor::{Manifest, Model, ModelError, WINDOW, inspect};
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};
use prost::Message;
use sha2::{Digest, Sha256};
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto, tensor_proto::DataLocation};

/// What is done to a file.
#[derive(Clone, Debug)]
enum Damage {
    /// It ends early.
    Truncated(Index),
    /// One bit is another.
    Flipped(Index, u8),
    /// A stretch holds other bytes.
    Overwritten(Index, Vec<u8>),
    /// A stretch is there twice.
    Repeated(Index, Index),
    /// It is something else.
    Random(Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..64);
    prop_oneof![
        any::<Index>().prop_map(Damage::Truncated),
        (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| Damage::Flipped(at, bit)),
        (any::<Index>(), bytes()).prop_map(|(at, bytes)| Damage::Overwritten(at, bytes)),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Damage::Repeated(a, b)),
        prop::collection::vec(any::<u8>(), 0..2048).prop_map(Damage::Random),
    ]
}

impl Damage {
    fn on(&self, sound: &[u8]) -> Vec<u8> {
        let mut bytes = sound.to_vec();
        match self {
            Self::Truncated(at) => bytes.truncate(at.index(sound.len())),
            Self::Flipped(at, bit) => bytes[at.index(sound.len())] ^= 1 << bit,
            Self::Overwritten(at, with) => {
                for (byte, new) in bytes.iter_mut().skip(at.index(sound.len())).zip(with) {
                    *byte = *new;
                }
            }
            Self::Repeated(a, b) => {
                let (a, b) = (a.index(sound.len()), b.index(sound.len()));
                let stretch = sound[a.min(b)..a.max(b)].to_vec();
                bytes.splice(a.max(b)..a.max(b), stretch);
            }
            Self::Random(other) => bytes.clone_from(other),
        }
        bytes
    }
}

fn shipped() -> (Vec<u8>, Manifest) {
    let file = |name| std::fs::read(format!("{}/../models/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    (file("load.onnx"), Manifest::from_json(&file("load.json")).unwrap())
}

/// Loads a copy as if its manifest had been made for it.
fn load(onnx: &[u8], manifest: &Manifest) -> Result<Model, ModelError> {
    use std::fmt::Write;
    let sha256 = Sha256::digest(onnx).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    Model::load(onnx, &Manifest { sha256, ..manifest.clone() })
}

#[test]
fn a_spoilt_file_is_refused_with_a_reason_or_answers_quantiles_all_the_same() {
    let (sound, manifest) = shipped();
    let cases = env::var("FUZZ_CASES").map_or(1_000, |cases| cases.parse().expect("FUZZ_CASES is a count"));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let window = prop::array::uniform32(0.0..4.0);
    let run = |(damage, window): (Damage, [f64; WINDOW])| {
        match load(&damage.on(&sound), &manifest) {
            Err(error) => prop_assert!(!error.to_string().is_empty()),
            Ok(model) => {
                // An answer that makes no sense is an error of `predict`, and the next rung forecasts.
                for Quantiles { p50, p90, p99 } in model.predict(&window).into_iter().flatten() {
                    prop_assert!(0.0 <= p50 && p50 <= p90 && p90 <= p99 && p99.is_finite());
                }
            }
        }
        Ok(())
    };
    TestRunner::new(config).run(&(damage(), window), run).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A name, what is done to the graph, and a word of the reason.
type Case = (&'static str, fn(&mut ModelProto), &'static str);

#[test]
fn what_makes_runtimes_hang_or_exhaust_memory_is_refused_before_they_see_it() {
    let cases: [Case; 12] = [
        ("another operator", |m| graph(m).node[0].op_type = "Loop".into(), "operator `Loop`"),
        ("a foreign domain", |m| graph(m).node[0].domain = "ai.onnx.ml".into(), "operator `ai.onnx.ml"),
        ("a shape bomb", |m| graph(m).node[0].op_type = "ConstantOfShape".into(), "ConstantOfShape"),
        ("a chain of 20,000 nodes", chain, "nodes, at most"),
        ("a huge constant", |m| constant(m).dims = vec![1 << 40], "constant"),
        ("a negative shape", |m| constant(m).dims = vec![-1, 4], "constant"),
        ("half of a constant", |m| constant(m).raw_data.truncate(4), "constant"),
        ("a weight that is no number", |m| nan(constant(m)), "not finite"),
        (
            "data in another file",
            |m| constant(m).data_location = Some(DataLocation::External as i32),
            "another file",
        ),
        ("operator set 99", |m| m.opset_import[0].version = 99, "operator set"),
        ("no operator set", |m| m.opset_import.clear(), "operator set"),
        ("another input", |m| graph(m).input[0].name = "other".into(), "interface"),
    ];
    let (sound, _) = shipped();
    for (name, spoil, reason) in cases {
        let mut model = ModelProto::decode(&sound[..]).unwrap();
        spoil(&mut model);
        let refused = inspect(&model.encode_to_vec()).unwrap_err().to_string();
        assert!(refused.contains(reason), "{name}: {refused}");
    }
}

fn graph(model: &mut ModelProto) -> &mut tract_onnx::pb::GraphProto {
    model.graph.as_mut().unwrap()
}

/// The largest constant, a matrix of weights.
fn constant(model: &mut ModelProto) -> &mut TensorProto {
    graph(model).initializer.iter_mut().max_by_key(|tensor| tensor.raw_data.len()).unwrap()
}

fn nan(tensor: &mut TensorProto) {
    tensor.raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
}

fn chain(model: &mut ModelProto) {
    let link = NodeProto { op_type: "Relu".into(), ..NodeProto::default() };
    graph(model).node.extend(std::iter::repeat_n(link, 20_000));
}
