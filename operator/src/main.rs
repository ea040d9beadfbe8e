//! The operator's program: `foreshift-operator` runs it, `foreshift-operator check-model [DIR]` proves a model.

use std::{io::Write, path::Path};

use anyhow::Context;
use clap::Parser;
use foreshift_daemon::log;
use foreshift_operator::{
    args::{Args, Command},
    models::Files,
    process,
};

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.command {
        Some(Command::CheckModel { dir }) => check_model(dir.as_deref()),
        None => run(&args),
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    log::start(&args.log, args.log_format).context("--log is no filter; give for example `info`")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let client =
            kube::Client::try_default().await.context("no cluster: set KUBECONFIG, or run in a pod")?;
        Ok(process::run(client, args).await?)
    })
}

/// Prints the digest of a sound model; what is wrong with an unsound one is the error.
fn check_model(dir: Option<&Path>) -> anyhow::Result<()> {
    let files = match dir {
        Some(dir) => Files::in_folder(dir)?,
        None => Files::from_stream(std::io::stdin().lock())?,
    };
    Ok(writeln!(std::io::stdout(), "{}", files.load()?.digest())?)
}
