//! An evaluation as a table for people.

use std::fmt::{self, Display, Formatter};

use super::Evaluation;
use super::replay::CONTESTANTS;

impl Display for Evaluation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let series = &self.series;
        writeln!(f, "{}, digest {}", self.model, self.digest.get(..12).unwrap_or(&self.digest))?;
        writeln!(
            f,
            "{} samples of {} s, {} windows scored, {} saturations; a load of 1 is {:?}",
            series.samples, series.period_s, series.windows, series.events, series.capacity
        )?;
        series.notices.iter().try_for_each(|notice| writeln!(f, "note: {notice}"))?;
        let rungs: Vec<String> =
            self.acting_rungs.iter().map(|(rung, share)| format!("{rung} {:.0} %", share * 100.0)).collect();
        writeln!(f, "acting: {}\n", rungs.join(", "))?;
        writeln!(
            f,
            "{:<20} {:>5} {:>7} {:>7} {:>7} {:>7} {:>7} {:>9} {:>7}",
            "forecaster", "steps", "mase", "pinball", "p90", "p99", "recall", "precision", "lead s"
        )?;
        for name in CONTESTANTS {
            let Some(figures) = self.forecasters.get(name) else { continue };
            for horizon in &figures.horizons {
                writeln!(
                    f,
                    "{name:<20} {:>5} {:>7} {:>7} {:>7} {:>7} {:>7} {:>9} {:>7}",
                    horizon.steps,
                    shown(horizon.mase),
                    shown(horizon.pinball),
                    shown(horizon.coverage_p90),
                    shown(horizon.coverage_p99),
                    shown(horizon.alarms.recall),
                    shown(horizon.alarms.precision),
                    shown(horizon.alarms.median_lead_s),
                )?;
            }
            writeln!(
                f,
                "{name:<20} {:>5} {:>7} {:>7} {:>7} {:>7}",
                "all",
                "",
                shown(figures.pinball),
                shown(figures.coverage_p90),
                shown(figures.coverage_p99)
            )?;
        }
        Ok(())
    }
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}
