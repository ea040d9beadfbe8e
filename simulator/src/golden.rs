//! The golden report: all policies by all scenarios, and bounds that Foreshift must not get worse than.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cluster::ShippedModel,
    error::{Error, Result},
    figures::Figures,
    policies::{self, Named, Settings},
    run::{self, Order, Report},
    scenario::Scenario,
    table,
};

/// Seeds of the golden report.
pub const SEEDS: u64 = 5;

/// The recorded bounds, beside the scenarios.
pub const BOUNDS: &str = "bounds.json";

/// Between these lines the report is written.
const BEGIN: &str = "<!-- golden:begin -->";
const END: &str = "<!-- golden:end -->";

/// Figures that have a bound; for all of them more is worse.
const BOUNDED: [&str; 6] = [
    "excess_work_ratio",
    "saturated_seconds",
    "mean_alternate_share",
    "p99_ms",
    "error_ratio",
    "share_churn_per_min",
];

/// A bound is this part above the recorded figure, and at least the smallest step of it that matters.
const MARGIN: f64 = 0.05;
const STEPS: [f64; 6] = [0.0005, 2.0, 0.005, 0.5, 0.0005, 0.02];

/// By scenario, policy and figure: the most that is allowed, measured on the first seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bounds(BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>);

/// A scenario file.
#[derive(Clone, Debug)]
pub struct Shipped {
    /// Its name, without folder and ending.
    pub name: String,
    /// What its first line says that it shows.
    pub shows: String,
    /// What is in it.
    pub scenario: Scenario,
}

/// All scenarios of a folder, by name.
///
/// # Errors
/// [`Error::File`] and what is wrong with a scenario.
pub fn shipped(folder: &Path) -> Result<Vec<Shipped>> {
    let listed = std::fs::read_dir(folder).map_err(|error| Error::file(folder, error))?;
    let mut paths: Vec<PathBuf> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let scenario = Scenario::read(&path)?;
        let text = std::fs::read_to_string(&path).map_err(|error| Error::file(&path, error))?;
        let shows = text.lines().next().unwrap_or_default().trim_start_matches('#').trim().to_owned();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Shipped { name, shows, scenario })
    };
    paths.into_iter().map(read).collect()
}

/// Whether a policy is Foreshift's.
#[must_use]
pub fn is_foreshift(policy: &Named) -> bool {
    policy.name.starts_with("foreshift_")
}

/// The report of all scenarios as Markdown.
///
/// # Errors
/// What is wrong with a scenario.
pub fn report(scenarios: &[Shipped], model: &ShippedModel) -> Result<String> {
    let mut text = format!("{BEGIN}\n");
    for shipped in scenarios {
        let order = Order {
            scenario: &shipped.scenario,
            trace: None,
            policies: &policies::ALL,
            first_seed: 1,
            seeds: SEEDS,
            settings: Settings::default(),
        };
        let table = table::table(&run::run(order, model)?);
        write!(text, "\n### {}\n\n{}\n\n{table}", shipped.name, shipped.shows).unwrap_or_default();
    }
    write!(text, "\n{END}").unwrap_or_default();
    Ok(text)
}

/// Puts the report in place of the one that stands in a page.
///
/// # Errors
/// [`Error::File`], and [`Error::Input`] for a page without a place for it.
pub fn insert(page: &Path, report: &str) -> Result<()> {
    let text = std::fs::read_to_string(page).map_err(|error| Error::file(page, error))?;
    let place = text.find(BEGIN).zip(text.find(END).map(|at| at + END.len())).filter(|(from, to)| from < to);
    let Some((from, to)) = place else {
        return Err(Error::at(
            page,
            None,
            "there is no place for the report",
            &format!("the lines {BEGIN} and {END}"),
        ));
    };
    let text = format!("{}{report}{}", &text[..from], &text[to..]);
    std::fs::write(page, text).map_err(|error| Error::file(page, error))
}

/// Foreshift's figures on the first seed.
///
/// # Errors
/// What is wrong with a scenario.
pub fn measured(shipped: &Shipped, model: &ShippedModel) -> Result<Report> {
    let ours: Vec<Named> = policies::ALL.into_iter().filter(is_foreshift).collect();
    let order = Order {
        scenario: &shipped.scenario,
        trace: None,
        policies: &ours,
        first_seed: 1,
        seeds: 1,
        settings: Settings::default(),
    };
    run::run(order, model)
}

impl Bounds {
    /// Reads recorded bounds.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Input`].
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(BOUNDS);
        let text = std::fs::read_to_string(&path).map_err(|error| Error::file(&path, error))?;
        serde_json::from_str(&text).map_err(|error| {
            Error::at(&path, Some(error.line() as u64), &error.to_string(), "what `golden --record` wrote")
        })
    }

    /// Writes them.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(BOUNDS);
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        std::fs::write(&path, text).map_err(|error| Error::file(&path, error))
    }

    /// Records the figures of a scenario, with a margin.
    pub fn record(&mut self, scenario: &str, report: &Report) {
        let policies = self.0.entry(scenario.to_owned()).or_default();
        for outcome in &report.policies {
            let of = |(figure, step): (&&str, f64)| {
                let value = value(&outcome.figures, figure);
                let bound = value + (value * MARGIN).max(step);
                ((*figure).to_owned(), (bound * 1e4).ceil() / 1e4)
            };
            policies.insert(outcome.policy.name.to_owned(), BOUNDED.iter().zip(STEPS).map(of).collect());
        }
    }

    /// Every figure that is beyond its bound, and every one without a bound, in words.
    #[must_use]
    pub fn broken(&self, scenario: &str, report: &Report) -> Vec<String> {
        let mut broken = Vec::new();
        for outcome in &report.policies {
            let name = outcome.policy.name;
            let bounds = self.0.get(scenario).and_then(|policies| policies.get(name));
            for figure in BOUNDED {
                let value = value(&outcome.figures, figure);
                match bounds.and_then(|bounds| bounds.get(figure)) {
                    Some(&bound) if value <= bound => {}
                    Some(bound) => {
                        broken.push(format!(
                            "{scenario}: {figure} of {name} is {value:.4}, recorded were {bound} at most"
                        ));
                    }
                    None => broken.push(format!("{scenario}: {figure} of {name} has no bound; record it")),
                }
            }
        }
        broken
    }
}

fn value(figures: &Figures, figure: &str) -> f64 {
    serde_json::to_value(figures)
        .ok()
        .as_ref()
        .and_then(|all| all.get(figure))
        .and_then(Value::as_f64)
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bounded_figure_is_one() {
        for figure in BOUNDED {
            assert_eq!(value(&Figures::default(), figure), 0.0, "{figure}");
        }
    }

    #[test]
    fn a_report_takes_the_place_of_the_one_before_and_leaves_the_rest() {
        let page = std::env::temp_dir().join(format!("foreshift-golden-{}.md", std::process::id()));
        std::fs::write(&page, format!("head\n{BEGIN}\nold\n{END}\ntail\n")).unwrap();
        insert(&page, &format!("{BEGIN}\nnew\n{END}")).unwrap();
        let text = std::fs::read_to_string(&page).unwrap();
        std::fs::write(&page, "no place").unwrap();
        let refused = insert(&page, "").unwrap_err().to_string();
        std::fs::remove_file(&page).unwrap();
        assert_eq!(text, format!("head\n{BEGIN}\nnew\n{END}\ntail\n"));
        assert!(refused.contains(BEGIN), "{refused}");
    }
}
