//! How good a model is: on the traces' test parts, on fresh episodes, and in the probes. Written as Markdown.

use std::fmt::{self, Display, Formatter};

use foreshift_predictor::Model;

use crate::contest::{ACTING, CONTESTANTS, HOLT, LAST_VALUE, MODEL, NETWORK, Scores, rounds};
use crate::episodes::{Shape, episodes};
use crate::probes::{self, CalmProbe, RampProbe};
use crate::traces::DataSet;
use crate::windows::{Part, Series};

/// Seed of the episodes that only reports see; do not train with it.
pub const EPISODE_SEED: u64 = 0x7e57_0000;

/// Episodes in a report.
const EPISODES: usize = 400;

/// Growth per step: gentle, the demo's ramp at 2 s (40 % to 160 % in 90 s), steep, the demo's ramp at 15 s.
const SLOPES: [f64; 4] = [0.01, 0.027, 0.06, 0.2];

/// Sampling noise on a node, small and large.
const SIGMAS: [f64; 2] = [0.03, 0.08];

/// Everything that is known of a model's quality.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Test parts of the traces, a row each.
    pub traces: Vec<(String, Scores)>,
    /// Fresh episodes, shape by shape.
    pub episodes: Vec<(String, Scores)>,
    /// Ramps.
    pub ramps: Vec<RampProbe>,
    /// Constant loads.
    pub calm: Vec<CalmProbe>,
}

impl Report {
    /// Judges a model; `sets` may be empty.
    #[must_use]
    pub fn of(sets: &[DataSet], model: &Model) -> Self {
        let mut report = Self::default();
        for set in sets {
            let known = ["later", "unseen series"].into_iter().zip([false, true]);
            for (label, held_out) in known {
                let series = set.series.iter().filter(|series| series.held_out == held_out);
                let scores: Vec<Scores> = series.map(|s| judge(s, Part::Test, model)).collect();
                if !scores.is_empty() {
                    report.traces.push((format!("{}, {label}", set.name), Scores::mean(&scores)));
                }
            }
        }
        report.episodes = on_episodes(EPISODES, EPISODE_SEED, model);
        for slope in SLOPES {
            for sigma in SIGMAS {
                report.ramps.push(probes::ramp(slope, sigma, model));
            }
        }
        report.calm = SIGMAS.into_iter().map(|sigma| probes::calm(sigma, model)).collect();
        report
    }

    /// Geometric mean over the test parts of the traces of the model's loss against the better baseline's.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        geometric_mean(&self.traces)
    }
}

/// Scores of one series' part.
#[must_use]
pub fn judge(series: &Series, part: Part, model: &Model) -> Scores {
    let rounds = rounds(&series.loads, &Series::window_ends(&series.range(part)), model);
    Scores::of(&rounds, series.unit())
}

/// Scores on fresh episodes, shape by shape.
#[must_use]
pub fn on_episodes(count: usize, seed: u64, model: &Model) -> Vec<(String, Scores)> {
    let mut by_shape = Shape::ALL.map(|shape| (shape.name().to_owned(), Vec::new()));
    for episode in episodes(count, seed) {
        let shape = episode.shape as usize;
        let series = episode.into_series();
        let rounds = rounds(&series.loads, &Series::window_ends(&(0..series.loads.len())), model);
        by_shape[shape].1.push(Scores::of(&rounds, series.unit()));
    }
    by_shape.into_iter().map(|(name, scores)| (name, Scores::mean(&scores))).collect()
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.traces.is_empty() {
            writeln!(f, "### Traces, test parts\n")?;
            scores(f, &self.traces)?;
        }
        writeln!(f, "### Synthetic saturation episodes, fresh seed\n")?;
        scores(f, &self.episodes)?;
        writeln!(
            f,
            "### Ramps from 0.4 to 1.6: bias of p50 on the way, overshoot of p50 at 8 steps after the end\n"
        )?;
        writeln!(
            f,
            "| slope a step | noise | who | bias h4 | bias h8 | p90 covers h8 | overshoot +4 | +8 | +16 |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
        for probe in &self.ramps {
            for (who, name) in points() {
                let ([h4, h8], [soon, later, late]) = (probe.bias[who], probe.overshoot[who]);
                writeln!(
                    f,
                    "| {} | {} | {name} | {h4:+.3} | {h8:+.3} | {:.2} | {soon:+.3} | {later:+.3} | {late:+.3} |",
                    probe.slope, probe.sigma, probe.coverage[who]
                )?;
            }
        }
        writeln!(f, "\n### Constant load: p90 at 2 steps, in standard deviations of the noise\n")?;
        writeln!(f, "| noise | who | deviation of p90 | mean above the noise's p90 |")?;
        writeln!(f, "|---|---|---|---|")?;
        for probe in &self.calm {
            for (who, name) in points() {
                writeln!(
                    f,
                    "| {} | {name} | {:.2} | {:+.2} |",
                    probe.sigma, probe.unrest[who], probe.excess[who]
                )?;
            }
        }
        Ok(())
    }
}

/// Those whose points the probes are about.
fn points() -> impl Iterator<Item = (usize, &'static str)> {
    [NETWORK, MODEL, HOLT, LAST_VALUE].into_iter().map(|who| (who, CONTESTANTS[who]))
}

fn scores(f: &mut Formatter<'_>, rows: &[(String, Scores)]) -> fmt::Result {
    writeln!(f, "| data | windows | who | sPL | MASE h1 | MASE h8 | p90 covers | p99 covers |")?;
    writeln!(f, "|---|---|---|---|---|---|---|---|")?;
    for (name, score) in rows {
        for (who, contestant) in CONTESTANTS.iter().enumerate() {
            let ([h1, h8], [p90, p99]) = (score.mase[who], score.coverage[who]);
            writeln!(
                f,
                "| {name} | {} | {contestant} | {:.3} | {h1:.3} | {h8:.3} | {p90:.3} | {p99:.3} |",
                score.windows, score.pinball[who]
            )?;
        }
    }
    writeln!(
        f,
        "\n| data | sPL over the best baseline's: model | acting | network alone | windows in which the model acts |"
    )?;
    writeln!(f, "|---|---|---|---|---|")?;
    for (name, score) in rows {
        let [model, acting, network] = [MODEL, ACTING, NETWORK].map(|who| score.ratio_of(who));
        writeln!(f, "| {name} | {model:.3} | {acting:.3} | {network:.3} | {:.2} |", score.trusted)?;
    }
    if let Some(ratio) = geometric_mean(rows) {
        writeln!(f, "| **geometric mean** | **{ratio:.3}** | | | |")?;
    }
    writeln!(f)
}

fn geometric_mean(rows: &[(String, Scores)]) -> Option<f64> {
    let logs: f64 = rows.iter().map(|(_, score)| score.ratio().ln()).sum();
    (!rows.is_empty()).then(|| (logs / rows.len() as f64).exp())
}
