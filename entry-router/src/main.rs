//! The entry router's program.

use clap::Parser;
use foreshift_entry_router::{args::Args, process};

fn main() -> anyhow::Result<()> {
    process::run(&Args::parse())
}
