//! The router beside other proxies, one core each, in one run: how fast it is ([`compare`]), and how it does when one of
//! four replicas is disturbed ([`antagonist`]). Both write their part of `router.json`.

mod antagonist;
mod compare;
mod load;
mod machine;
mod peers;
mod replica;
mod report;
mod table;

use clap::Parser;

#[derive(Debug, Parser)]
enum Command {
    /// Throughput and latency in a closed loop, beside Envoy, `HAProxy` and nginx.
    Compare(compare::Args),
    /// Latency when one of four replicas is disturbed, beside power of two choices and round robin.
    Antagonist(antagonist::Args),
    /// A resource that works for every entry; started by `antagonist`.
    Replica(replica::ReplicaArgs),
    /// Who takes a part of a replica's CPU; started by `antagonist`.
    Burner(replica::BurnerArgs),
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match Command::parse() {
        Command::Compare(args) => runtime.block_on(compare::compare(&args)),
        Command::Antagonist(args) => runtime.block_on(antagonist::antagonist(&args)),
        Command::Replica(args) => Ok(runtime.block_on(replica::serve(&args))?),
        Command::Burner(args) => {
            runtime.block_on(replica::burn(&args));
            Ok(())
        }
    }
}
