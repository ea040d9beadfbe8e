//! The spec of a `JournalRoute`, read as the API server reads it, except that unknown fields are refused.

use foreshift_api::JournalRouteSpec;
use serde::{Deserialize, Deserializer, de};
use serde_yaml::Value;

/// A spec all of whose fields are known.
#[derive(Clone, Debug, PartialEq)]
pub struct Strict(pub JournalRouteSpec);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Value::deserialize(deserializer)?;
        let spec: JournalRouteSpec = serde_yaml::from_value(written.clone()).map_err(|error| {
            de::Error::custom(format!(
                "route: {error}, expected the spec of a JournalRoute (kubectl explain journalroute.spec)"
            ))
        })?;
        let known = serde_yaml::to_value(&spec).map_err(de::Error::custom)?;
        match unknown(&written, &known, "route") {
            Some(path) => Err(de::Error::custom(format!(
                "unknown field `{path}`, expected the spec of a JournalRoute (kubectl explain journalroute.spec)"
            ))),
            None => Ok(Self(spec)),
        }
    }
}

/// The first field that was written and not understood. What is left out when it says nothing (`false`, nothing) is
/// known all the same.
fn unknown(written: &Value, known: &Value, path: &str) -> Option<String> {
    match (written, known) {
        (Value::Mapping(written), Value::Mapping(known)) => written.iter().find_map(|(key, value)| {
            let path = format!("{path}.{}", key.as_str().unwrap_or("?"));
            match known.get(key) {
                Some(known) => unknown(value, known, &path),
                None if matches!(value, Value::Null) || path == "route.suspend" => None,
                None => Some(path),
            }
        }),
        (Value::Sequence(written), Value::Sequence(known)) => {
            written.iter().zip(known).find_map(|(written, known)| unknown(written, known, path))
        }
        _ => None,
    }
}
