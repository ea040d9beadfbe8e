//! The frontends before real peers: a Python client, and Envoy. Their programs come by the environment, as `e2e/test peers`
//! sets it: `PYTHON` with the packages of requirements.txt, and `ENVOY`.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

mod assign;
mod envoy;
mod http;
mod python;

use std::{env, path::PathBuf};

/// A program that the environment names.
fn program(variable: &str) -> PathBuf {
    let path = env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} is not set; run `e2e/test peers`, which installs what is needed")
    });
    PathBuf::from(path)
}
