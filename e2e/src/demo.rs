//! The demo from end to end: set the stage, measure the lead's capacity, drive the shape once for each run, draw.

use std::{
    path::{Path, PathBuf},
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
    outcome::Outcome,
    plan::{Ahead, Phase, Plan},
    plot,
    progress::{Progress, say},
    rest,
    route::{self, Run},
    router::Router,
    sample::{self, Sample},
    sender::Load,
    shape::Shape,
    stage::{self, RESOURCES, Stage},
    summary::{Meta, Summary},
    table, verdict,
};

/// Requests of a probe that are under way at once: far more than a gentle one has, unless nobody answers.
const PROBES_IN_FLIGHT: usize = 256;

/// Runs the demo and writes its results into the folder that `args` name.
pub async fn run(args: &DemoArgs) -> Result<()> {
    std::fs::create_dir_all(&args.out).map_err(|source| Error::File { path: args.out.clone(), source })?;
    let plan = plan(args)?;
    say(&format!("{plan}\n"));
    let progress = Progress::start(plan);
    let mut driver = progress.during(Phase::Start, Box::pin(set_stage(&args.stage))).await?;
    let measuring = Box::pin(measure(&driver, args.stage.capacity));
    driver.capacity = progress.during(Phase::Capacity, measuring).await?;
    let mut summary = Summary::new(meta(&driver, args.shape).await?);
    let mut drawn: Vec<(Run, Vec<Sample>)> = Vec::new();
    for &run in &args.runs {
        let (route, way, curve) = (run.route()?, run.way(driver.router.is_some()), args.shape.curve());
        let drive = driver.drive(run.name(), &route, way, &curve, |moment| progress.reached(moment));
        let (outcome, samples) = progress.during(Phase::Preparation, Box::pin(drive)).await?;
        let Outcome { acknowledged, lost, .. } = outcome;
        say(&format!("{}: {acknowledged} entries acknowledged, {lost} lost", run.title()));
        summary.add(run, outcome);
        drawn.push((run, samples));
        keep(&args.out, &summary, &drawn)?;
    }
    drop(progress);
    report(args, &summary);
    Ok(())
}

fn plan(args: &DemoArgs) -> Result<Plan> {
    let ahead = |run: &Run| Ok(Ahead { title: run.title(), rest: rest::seconds_before(&run.route()?) });
    let runs = args.runs.iter().map(ahead).collect::<Result<Vec<_>>>()?;
    Ok(Plan::new(args.shape, args.stage.capacity.is_none(), &runs))
}

/// The figures, what they come to, and where they are.
fn report(args: &DemoArgs, summary: &Summary) {
    say(&format!("\n{}\n\n{}", table::summary(summary), table::goals(&goals::goals(summary))));
    say(&format!("\n{}", verdict::sentence(summary)));
    say("\nThe stage still stands: `kubectl --namespace demo get journalroutes,pods`.");
    say("To clear it: `kubectl delete namespace demo`.\n");
    say(&written(&args.out, &args.runs));
}

/// Where the results of `runs` are, a line each.
fn written(out: &Path, runs: &[Run]) -> String {
    let samples = runs.iter().map(|run| ("samples", csv(out, *run)));
    let files = [("plot", picture(out))].into_iter().chain(samples).chain([("summary", summary_json(out))]);
    files.map(|(what, path)| format!("{what:<9}{}", path.display())).collect::<Vec<_>>().join("\n")
}

/// Sets the stage and measures what the lead carries.
pub async fn prepare(args: &StageArgs) -> Result<Driver> {
    let mut driver = set_stage(args).await?;
    driver.capacity = measure(&driver, args.capacity).await?;
    Ok(driver)
}

/// Sets the stage for a lead whose capacity is not known yet.
async fn set_stage(args: &StageArgs) -> Result<Driver> {
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
    Ok(driver)
}

async fn measure(driver: &Driver, given: Option<f64>) -> Result<Capacity> {
    let capacity = capacity(driver, given).await?;
    say(&format!(
        "the lead carries {:.0} requests/s of {} entries; its node idles at a load of {:.2}",
        capacity.requests_per_second, driver.batch, capacity.idle_load
    ));
    Ok(capacity)
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

/// Writes everything so far, so that a demo that is broken off still shows what it did.
fn keep(out: &Path, summary: &Summary, runs: &[(Run, Vec<Sample>)]) -> Result<()> {
    summary.write(&summary_json(out))?;
    let series: Vec<_> =
        runs.iter().map(|(run, samples)| plot::Series { title: run.title(), samples }).collect();
    let objective = summary.meta.objective;
    plot::draw(&picture(out), &series, objective)?;
    if let (Some((run, samples)), Some(series)) = (runs.last(), series.last()) {
        plot::draw(&out.join(format!("{}.svg", run.name())), &[*series], objective)?;
        let path = csv(out, *run);
        std::fs::write(&path, sample::csv(samples)).map_err(|source| Error::File { path, source })?;
    }
    Ok(())
}

fn picture(out: &Path) -> PathBuf {
    out.join("demo.svg")
}

fn csv(out: &Path, run: Run) -> PathBuf {
    out.join(format!("{}.csv", run.name()))
}

fn summary_json(out: &Path) -> PathBuf {
    out.join("summary.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_line() {
        let lines = [
            "plot     target/demo/demo.svg",
            "samples  target/demo/reactive.csv",
            "samples  target/demo/foreshift.csv",
            "summary  target/demo/summary.json",
        ];
        assert_eq!(written(Path::new("target/demo"), &[Run::Reactive, Run::Foreshift]), lines.join("\n"));
    }
}
