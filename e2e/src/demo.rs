//! The demo from end to end: set the stage, measure the lead's capacity, drive the shape once for each run, draw.

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
    sync::Arc,
};

use kube::ResourceExt as _;

use crate::{
    args::{DemoArgs, StageArgs},
    calibrate::{Capacity, calibrate},
    drive::Driver,
    error::{Error, Result, ask},
    gauge, goals,
    local::LocalCluster,
    logs::log_lines,
    plot,
    route::{self, Run},
    router::Router,
    sample::{self, Sample},
    sender::Load,
    shape::Shape,
    stage::{self, RESOURCES, Stage},
    summary::{Meta, Summary},
    table,
};

/// Requests of a probe that are under way at once: far more than a gentle one has, unless nobody answers.
const PROBES_IN_FLIGHT: usize = 256;

/// Runs the demo and writes its results into the folder that `args` name.
pub async fn run(args: &DemoArgs) -> Result<()> {
    std::fs::create_dir_all(&args.out).map_err(|source| Error::File { path: args.out.clone(), source })?;
    let driver = prepare(&args.stage).await?;
    let mut summary = Summary::new(meta(&driver, args.shape).await?);
    let mut drawn: Vec<(Run, Vec<Sample>)> = Vec::new();
    for &run in &args.runs {
        say(&format!("\n=== {} ===", run.title()));
        let way = run.way(driver.router.is_some());
        let (outcome, samples) =
            driver.drive(run.name(), &run.route()?, way, &args.shape.curve(), live_table()).await?;
        say(&format!("{} entries acknowledged, {} lost", outcome.acknowledged, outcome.lost));
        summary.add(run, outcome);
        drawn.push((run, samples));
        keep(&args.out, &summary, &drawn)?;
    }
    say(&format!("\n{}\n\n{}", table::summary(&summary), table::goals(&goals::goals(&summary))));
    say(&format!("\nPictures, samples and summary.json are in {}.", args.out.display()));
    say(
        "The stage still stands: `kubectl --namespace demo get journalroutes,pods`. To clear it: `kubectl delete namespace demo`.",
    );
    Ok(())
}

/// Sets the stage and measures what the lead carries.
pub async fn prepare(args: &StageArgs) -> Result<Driver> {
    let client = stage::connect().await?;
    let personas = route::personas(&client).await?;
    let stage = Stage::plan(client, &args.nodes, &args.image, args.pods as usize).await?;
    if let Some(node) = stage.nodes().iter().find(|node| !personas.iter().any(|p| p.name_any() == **node)) {
        return Err(Error::Unfit(format!("node {node} has no persona yet; does the node agent run there?")));
    }
    say(&format!(
        "setting the stage: lead on {}, alternates on {}",
        stage.nodes()[0],
        stage.nodes()[1..].join(" and ")
    ));
    stage.set().await?;
    route::delete(stage.client()).await?;
    let local = args.cluster_state.as_deref().map(LocalCluster::open).transpose()?;
    let pool = Arc::new(log_lines(&args.logs, local.as_ref(), stage.client()).await?);
    let mut driver = Driver {
        stage,
        local,
        lead_cgroup: args.lead_cgroup.clone(),
        target: args.target,
        from: args.from,
        router: None,
        pool,
        batch: args.batch,
        capacity: Capacity { requests_per_second: 0.0, idle_load: 0.0, quota_cores: None },
    };
    if let Some(named) = &args.router {
        driver.router = Some(Router::find(driver.stage.client(), named).await?);
    }
    driver.capacity = capacity(&driver, args.capacity).await?;
    say(&format!(
        "the lead carries {:.0} requests/s of {} entries; its node idles at a load of {:.2}",
        driver.capacity.requests_per_second, args.batch, driver.capacity.idle_load
    ));
    Ok(driver)
}

/// As given, otherwise measured.
async fn capacity(driver: &Driver, given: Option<f64>) -> Result<Capacity> {
    let [mut lead, ..] = driver.gauges()?;
    if let Some(requests_per_second) = given {
        let personas = gauge::by_node(route::personas(driver.stage.client()).await?);
        let idle_load = gauge::persona_load(&personas, lead.node()).unwrap_or(0.0);
        return Ok(Capacity { requests_per_second, idle_load, quota_cores: lead.quota() });
    }
    if lead.quota().is_none() {
        return Err(Error::Unfit(
            "the lead's capacity can be measured only where its cgroup is seen; give it with --capacity \
             (requests a second), or name the cgroup with --lead-cgroup"
                .into(),
        ));
    }
    say(&format!("measuring what the lead carries, with {} log lines of this cluster", driver.pool.len()));
    let load = driver.load(driver.stage.address(RESOURCES[0]).await?, String::new());
    calibrate(&Load { max_in_flight: PROBES_IN_FLIGHT, ..load }, &driver.pool, &mut lead).await
}

async fn meta(driver: &Driver, shape: Shape) -> Result<Meta> {
    let version = ask("the API server's version", driver.stage.client().apiserver_version()).await?;
    Ok(Meta {
        shape,
        capacity: driver.capacity,
        batch: driver.batch,
        objective: Run::Foreshift.route()?.spec.objective.lead_load.get(),
        nodes: driver.stage.nodes().clone(),
        pods_each: driver.stage.pods_each(),
        log_lines: driver.pool.len(),
        kubernetes: version.git_version,
        router: driver.router.is_some(),
    })
}

/// Prints a sample each second on a terminal, each fifth elsewhere.
fn live_table() -> impl FnMut(&Sample) {
    const HEADER_EVERY: usize = 30;
    let every = if std::io::stdout().is_terminal() { 1 } else { 5 };
    let mut seconds = 0;
    move |sample| {
        seconds += 1;
        if seconds % every == 0 {
            if (seconds / every) % HEADER_EVERY == 1 || seconds == every {
                say(table::HEADER);
            }
            say(&table::row(sample));
        }
    }
}

/// Writes everything so far, so that a demo that is broken off still shows what it did.
fn keep(out: &Path, summary: &Summary, runs: &[(Run, Vec<Sample>)]) -> Result<()> {
    summary.write(&out.join("summary.json"))?;
    let series: Vec<_> =
        runs.iter().map(|(run, samples)| plot::Series { title: run.title(), samples }).collect();
    let objective = summary.meta.objective;
    plot::draw(&out.join("demo.svg"), &series, objective)?;
    if let (Some((run, samples)), Some(series)) = (runs.last(), series.last()) {
        plot::draw(&out.join(format!("{}.svg", run.name())), &[*series], objective)?;
        let path = out.join(format!("{}.csv", run.name()));
        std::fs::write(&path, sample::csv(samples)).map_err(|source| Error::File { path, source })?;
    }
    Ok(())
}

/// To the person who watches. A closed terminal is no reason to stop measuring.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
