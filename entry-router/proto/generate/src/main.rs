//! Compiles the protos without protoc, and notes in each file which text it was made from.

use std::{error::Error, fs, path::Path};

use sha2::{Digest, Sha256};

/// Each proto with the package that its code is named for.
const PROTOS: [(&str, &str); 2] = [
    ("foreshift/router/v1/router.proto", "foreshift.router.v1"),
    ("envoy/ext_proc.proto", "envoy.service.ext_proc.v3"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let protos = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let out = protos.join("../frontends/src/proto");
    for (proto, package) in PROTOS {
        let files = protox::compile([proto], [protos])?;
        tonic_prost_build::configure().out_dir(&out).compile_fds(files)?;
        let digest = Sha256::digest(fs::read(protos.join(proto))?);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let file = out.join(format!("{package}.rs"));
        let code = fs::read_to_string(&file)?;
        fs::write(file, format!("// From {proto}, sha256 {digest}; `make proto` writes it anew.\n{code}"))?;
    }
    Ok(())
}
