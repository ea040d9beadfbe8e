//! The messages and services of `entry-router/proto`, written by `make proto`.

/// The router's API.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
#[rustfmt::skip]
#[path = "proto/foreshift.router.v1.rs"]
pub mod router;

/// The part of Envoy's external processing that is used here.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
#[rustfmt::skip]
#[path = "proto/envoy.service.ext_proc.v3.rs"]
pub mod ext_proc;

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    #[test]
    fn the_code_was_made_from_the_published_protos() {
        let files = [
            ("foreshift/router/v1/router.proto", include_str!("proto/foreshift.router.v1.rs")),
            ("envoy/ext_proc.proto", include_str!("proto/envoy.service.ext_proc.v3.rs")),
        ];
        for (proto, code) in files {
            let path = format!("{}/../proto/{proto}", env!("CARGO_MANIFEST_DIR"));
            let digest = Sha256::digest(std::fs::read(path).unwrap());
            let first = code.lines().next().unwrap();
            let made_from = format!("sha256 {digest:x};");
            assert!(first.contains(&made_from), "{proto} is newer than its code; run: make proto");
        }
    }
}
