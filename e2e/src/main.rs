//! `foreshift-demo`: see `foreshift-demo --help`.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use foreshift_e2e::{
    args::{Args, CheckArgs, Command},
    demo, goals, record,
    summary::Summary,
    table,
};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match args.command {
        Command::Run(demo) => finish(Box::pin(demo::run(&demo))).await,
        Command::Record(recording) => finish(Box::pin(record::run(&recording))).await,
        Command::Check(check) => {
            Ok(if hold_against_goals(&check)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

async fn finish(work: impl Future<Output = foreshift_e2e::error::Result<()>>) -> anyhow::Result<ExitCode> {
    tokio::select! {
        done = work => done?,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted; the demo's namespace stays as it is"),
    }
    Ok(ExitCode::SUCCESS)
}

fn hold_against_goals(check: &CheckArgs) -> anyhow::Result<bool> {
    let goals = goals::goals(&Summary::read(&check.summary)?);
    let shown: Vec<_> = goals.iter().filter(|goal| !check.quiet || !goal.reached).cloned().collect();
    if !shown.is_empty() {
        writeln!(std::io::stdout(), "{}", table::goals(&shown))?;
    }
    Ok(goals.iter().all(|goal| goal.reached || (!goal.required && !check.strict)))
}
