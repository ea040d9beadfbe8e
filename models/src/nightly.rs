//! `foreshift-trainer retrain`: reads a history, retrains, writes the files, and publishes what is better.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::Args;
use foreshift_models::finetune::FineTuning;
use foreshift_models::recorded::{Lines, Recorded};
use foreshift_models::release::Release;
use foreshift_models::retrain::{Incumbents, Outcome, retrain};
use foreshift_models::{http, prometheus, publish};

/// The longest name that leaves room for the rest of a ConfigMap's or LoadModel's name, in a label's value.
const LONGEST_NAME: usize = 40;

/// Retrain a model on a cluster's own loads.
#[derive(Args)]
pub(crate) struct Retrain {
    /// The history: a URL such as `http://foreshift-history:9100/history` (every address of the host is asked), a CSV file,
    /// or a folder of CSV files.
    #[arg(long, value_name = "URL|FILE|FOLDER", required_unless_present = "prometheus")]
    history: Option<String>,
    /// A Prometheus to read instead, such as `http://prometheus:9090`.
    #[arg(long, value_name = "URL", requires = "query", conflicts_with = "history")]
    prometheus: Option<String>,
    /// What to ask it: an expression that gives parts of capacity, 1.0 is full.
    #[arg(long, value_name = "EXPR")]
    query: Option<String>,
    /// Time between two samples of it, such as 15s.
    #[arg(long, default_value = "15s")]
    period: foreshift_api::Span,
    /// How far back to read.
    #[arg(long, value_name = "HOURS", default_value_t = 168, value_parser = clap::value_parser!(u32).range(1..))]
    hours: u32,
    /// Folder with load.onnx and load.json of the model of the release, to start from and to compare with.
    #[arg(long, value_name = "FOLDER")]
    shipped: PathBuf,
    /// Folder with those of the model that forecasts now, if it is another one: this is where training starts then. With
    /// --publish the cluster is asked.
    #[arg(long, value_name = "FOLDER", conflicts_with = "publish")]
    champion: Option<PathBuf>,
    /// Folder to write a better model to; made if need be.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Publish a better model as LoadModel NAME-1, NAME-2 or NAME-3, which take turns.
    #[arg(long, value_name = "NAME", value_parser = label)]
    publish: Option<String>,
    /// The operator's namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    namespace: String,
    /// Seed of the replayed episodes and the order of the windows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(arguments: &Retrain) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shipped = Release::read(&arguments.shipped)?;
    let history = runtime.block_on(read(arguments))?;
    let champion = runtime.block_on(champion(arguments))?;
    let incumbents = Incumbents { shipped: &shipped, champion: champion.as_ref() };
    let outcome = retrain(incumbents, &history, &FineTuning::default(), arguments.seed)?;
    eprintln!("{outcome}");
    let Outcome::Better { release, .. } = outcome else { return Ok(()) };
    write(&arguments.out, &release)?;
    let Some(name) = &arguments.publish else { return Ok(()) };
    let published = runtime.block_on(async {
        Ok::<_, anyhow::Error>(publish::publish(client().await?, &arguments.namespace, name, &release).await?)
    })?;
    eprintln!("published as LoadModel {} with ConfigMap {}", published.model, published.config_map);
    Ok(())
}

/// What forecasts now, where that is not the model of the release. One that does not load is said, and not started from.
async fn champion(arguments: &Retrain) -> anyhow::Result<Option<Release>> {
    let champion = match (&arguments.champion, &arguments.publish) {
        (Some(folder), _) => return Ok(Some(Release::read(folder)?)),
        (None, Some(_)) => publish::champion(client().await?, &arguments.namespace).await?,
        (None, None) => None,
    };
    let Some((name, release)) = champion else { return Ok(None) };
    match release.and_then(|release| release.load().map(|_| release)) {
        Ok(release) => {
            eprintln!("LoadModel {name} forecasts, version {}", release.manifest.version);
            Ok(Some(release))
        }
        Err(error) => {
            eprintln!("LoadModel {name} forecasts, but its files cannot be used here: {error}");
            Ok(None)
        }
    }
}

async fn client() -> anyhow::Result<kube::Client> {
    kube::Client::try_default().await.context("no cluster: set KUBECONFIG, or run in a pod")
}

async fn read(arguments: &Retrain) -> anyhow::Result<Recorded> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let since = now.saturating_sub(i64::from(arguments.hours) * 3600).max(0);
    let mut recorded = Recorded::default();
    match (&arguments.history, &arguments.prometheus, &arguments.query) {
        (Some(url), ..) if url.contains("://") => replicas(url, since, &mut recorded).await?,
        (Some(path), ..) => files(Path::new(path), &mut recorded)?,
        (None, Some(url), Some(expression)) => {
            let Ok(period @ 1..) = u32::try_from(arguments.period.get().as_secs()) else {
                bail!("--period is a second at least, such as 15s");
            };
            let (url, expression) = (url.clone(), expression.clone());
            let query = prometheus::Query { url, expression, period, from: since, to: now };
            prometheus::read(&query, &mut recorded).await.with_context(|| query.url.clone())?;
        }
        _ => bail!("give --history, or --prometheus with --query"),
    }
    Ok(recorded)
}

/// Each replica of the operator has a history of its own; one that does not answer is missed, all are an error.
async fn replicas(url: &str, since: i64, into: &mut Recorded) -> anyhow::Result<()> {
    let uri = http::parse(&format!("{url}?since={since}"))?;
    let (mut answered, mut failure) = (false, None);
    for address in http::addresses(&uri).await? {
        let mut lines = Lines::default();
        let read =
            http::get(address, &uri, |bytes| lines.take(bytes, into).map_err(|error| error.to_string()))
                .await;
        let read = match read {
            Ok(()) => lines.end(into).map_err(anyhow::Error::from),
            Err(error) => Err(error.into()),
        };
        match read {
            Ok(()) => answered = true,
            Err(error) => {
                eprintln!("{address}: {error}");
                failure = Some(error);
            }
        }
    }
    match failure {
        Some(error) if !answered => Err(error.context(format!("no history from {url}"))),
        None if !answered => bail!("{url}: the name has no address"),
        _ => Ok(()),
    }
}

fn files(path: &Path, into: &mut Recorded) -> anyhow::Result<()> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries: Result<Vec<_>, _> =
            fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect();
        files = entries?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "csv"));
        files.sort();
    }
    for file in &files {
        let open = File::open(file).with_context(|| file.display().to_string())?;
        into.read(BufReader::new(open)).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn write(folder: &Path, release: &Release) -> anyhow::Result<()> {
    let context = || format!("cannot write to {}", folder.display());
    fs::create_dir_all(folder).with_context(context)?;
    fs::write(folder.join("load.onnx"), &release.onnx).with_context(context)?;
    fs::write(folder.join("load.json"), release.json()?).with_context(context)
}

/// A name that is also a label's value.
fn label(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let ends = !text.starts_with('-') && !text.ends_with('-');
    if plain && ends && (1..=LONGEST_NAME).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!("give at most {LONGEST_NAME} lower-case letters, digits and dashes, such as `retrained`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_must_serve_as_a_label() {
        for (name, fits) in
            [("retrained", true), ("a-1", true), ("", false), ("-a", false), ("A", false), ("a.b", false)]
        {
            assert_eq!(label(name).is_ok(), fits, "{name}");
        }
        assert!(label(&"a".repeat(41)).is_err());
    }

    #[test]
    fn a_folder_is_read_file_by_file_and_a_wrong_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let csv = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        csv("a.csv", "series,period_s,step,load\nnode/a,15,1,0.5\n");
        csv("b.csv", "series,period_s,step,load\nnode/a,15,1,0.5\nnode/a,15,2,0.5\n");
        csv("notes.txt", "no history");
        let mut recorded = Recorded::default();
        files(folder.path(), &mut recorded).unwrap();
        assert_eq!(recorded.len(), 2);
        csv("c.csv", "no history");
        let error = format!("{:#}", files(folder.path(), &mut recorded).unwrap_err());
        assert!(error.contains("c.csv") && error.contains("line 1"), "{error}");
    }
}
