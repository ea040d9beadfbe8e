//! Earned trust: how well recent forecasts did against the baselines, over a bounded window.

use std::collections::VecDeque;

use crate::push_bounded;

/// Forecasts that must have come due before a model is judged; until then it acts on its training.
pub const JUDGED_AFTER: usize = 24;

/// Forecasts that figures of a model are taken from: some three minutes at a step of two seconds.
pub const REMEMBERED: usize = 96;

/// Forecasts that trust looks back on: some thirteen minutes at a step of two seconds. On public traces, 96 took the
/// model's right away for noise in a third of the windows, and what acted then was 2 to 7 % worse.
const TRUSTED_OVER: usize = 384;

/// A model that lost its trust must do this much better than the baselines to get it back, so that it does not
/// come and go with the noise.
const REGAINED_AT: f64 = 0.03;

/// A mean loss too small to matter: a thousandth of the capacity, so that a dead-flat series demotes nobody.
const NEGLIGIBLE: f64 = 1e-3;

/// Pinball losses of one instant's forecasts, in units of load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// The model's, and whether each load stayed below its p90, as share of the heads; `None` if it was not asked.
    pub model: Option<(f64, f64)>,
    /// Damped Holt's.
    pub holt: f64,
    /// The last value's.
    pub last_value: f64,
}

/// Sums over the forecasts of the model in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// How many there were.
    pub forecasts: usize,
    /// Losses of the model, in units of load.
    pub model: f64,
    /// Losses of damped Holt at the same instants.
    pub holt: f64,
    /// Losses of the last value at the same instants.
    pub last_value: f64,
    /// For each forecast the part of the heads at or below p90.
    pub covered: f64,
}

/// Rolling comparison of one series' forecasters.
#[derive(Clone, Debug, Default)]
pub struct Skill {
    losses: VecDeque<Losses>,
    demoted: bool,
}

impl Skill {
    /// Takes the losses of forecasts that have just come due.
    pub fn record(&mut self, losses: Losses) {
        push_bounded(&mut self.losses, TRUSTED_OVER, losses);
        match self.score() {
            Some(score) if self.scored() >= JUDGED_AFTER => {
                self.demoted = score < if self.demoted { REGAINED_AT } else { 0.0 };
            }
            _ => self.demoted = false,
        }
    }

    /// Forecasts of the model within the window.
    #[must_use]
    pub fn scored(&self) -> usize {
        self.losses.iter().filter(|losses| losses.model.is_some()).count()
    }

    /// What the forecasts of the model within the last [`REMEMBERED`] come to.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals_over(REMEMBERED)
    }

    fn totals_over(&self, newest: usize) -> Totals {
        let mut totals = Totals::default();
        for losses in self.losses.iter().rev().take(newest) {
            let Some((model, covered)) = losses.model else { continue };
            totals.forecasts += 1;
            totals.model += model;
            totals.holt += losses.holt;
            totals.last_value += losses.last_value;
            totals.covered += covered;
        }
        totals
    }

    /// One minus the model's loss over that of the better baseline: 1 is perfect, 0 no better, below 0 worse.
    ///
    /// `None` before the first forecast of the model has come due. Two perfect forecasters are equal: 0.
    #[must_use]
    pub fn score(&self) -> Option<f64> {
        let Totals { forecasts, model, holt, last_value, .. } = self.totals_over(TRUSTED_OVER);
        let negligible = NEGLIGIBLE * forecasts as f64;
        (forecasts > 0).then(|| 1.0 - model.max(negligible) / holt.min(last_value).max(negligible))
    }

    /// Share of loads that stayed at or below the model's p90; 0.9 is what it promises.
    #[must_use]
    pub fn coverage_p90(&self) -> Option<f64> {
        let Totals { forecasts, covered, .. } = self.totals_over(TRUSTED_OVER);
        (forecasts > 0).then(|| covered / forecasts as f64)
    }

    /// Whether the model has lost its right to act.
    #[must_use]
    pub fn demoted(&self) -> bool {
        self.demoted
    }

    /// Whether the last value did better than Holt over a window that is long enough to judge.
    #[must_use]
    pub fn holt_is_worse(&self) -> bool {
        let (holt, last) =
            self.losses.iter().fold((0.0, 0.0), |sum, l| (sum.0 + l.holt, sum.1 + l.last_value));
        self.losses.len() >= JUDGED_AFTER && holt > last
    }

    /// Forgets the model's record, as when another model takes its place.
    pub fn forget_model(&mut self) {
        self.losses.iter_mut().for_each(|losses| losses.model = None);
        self.demoted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(records: &[(usize, f64)]) -> Skill {
        let mut skill = Skill::default();
        for &(count, model) in records {
            for _ in 0..count {
                skill.record(Losses { model: Some((model, 0.8)), holt: 0.10, last_value: 0.12 });
            }
        }
        skill
    }

    #[test]
    fn skill_is_measured_against_the_better_baseline() {
        let score = after(&[(30, 0.05)]).score().unwrap();
        assert!((score - 0.5).abs() < 0.01, "{score}");
    }

    #[test]
    fn a_model_is_not_judged_on_few_forecasts() {
        assert!(!after(&[(JUDGED_AFTER - 1, 0.9)]).demoted());
        assert!(after(&[(JUDGED_AFTER, 0.9)]).demoted());
    }

    #[test]
    fn a_demoted_model_comes_back_only_when_clearly_better() {
        let all = TRUSTED_OVER;
        assert!(after(&[(all, 0.2), (all, 0.099)]).demoted());
        assert!(!after(&[(all, 0.2), (all, 0.08)]).demoted());
        assert!(!after(&[(all, 0.099)]).demoted());
    }

    #[test]
    fn a_flat_series_demotes_nobody() {
        let mut skill = Skill::default();
        (0..50).for_each(|_| skill.record(Losses { model: Some((1e-4, 1.0)), holt: 0.0, last_value: 0.0 }));
        assert_eq!((skill.score(), skill.demoted()), (Some(0.0), false));
    }

    #[test]
    fn another_model_starts_with_a_clean_record() {
        let mut skill = after(&[(96, 0.9)]);
        skill.forget_model();
        assert_eq!((skill.demoted(), skill.score(), skill.scored()), (false, None, 0));
    }
}
