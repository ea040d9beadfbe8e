//! Promotion and rollback of models: pure. A challenger must prove over a full window that it is better. A champion
//! that got worse is rolled back to the one before it. A pin by a person overrides both.

use std::sync::Arc;

use foreshift_api::load_model::ModelRole;
use foreshift_predictor::Model;
use k8s_openapi::jiff::Timestamp;

use super::scoreboard::Score;

/// A challenger takes over at this part of the champion's loss: a smaller gain could be chance.
const BETTER: f64 = 0.98;

/// Above this part of what it is held against, a model is rejected.
const WORSE: f64 = 1.05;

/// Coverage of p90 within which a challenger may take over; 0.9 is promised, and calibration keeps a sound model
/// near it.
const COVERAGE: std::ops::RangeInclusive<f64> = 0.85..=0.96;

/// A mean loss too small to matter, as in [`foreshift_predictor::Skill`]: a flat load rejects no model.
const NEGLIGIBLE: f64 = 1e-3;

/// A model and what is known of it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Name of its LoadModel.
    pub name: String,
    /// When that was made.
    pub created: Option<Timestamp>,
    /// Whether a person wants it.
    pub pinned: bool,
    /// Whether it is the model of this release, which has been proved on what this release does.
    pub built_in: bool,
    /// Its role so far.
    pub role: Option<ModelRole>,
    /// The file that was rejected under this name, by its first digits.
    pub rejected_file: Option<String>,
    /// The model, or why there is none.
    pub model: Result<Arc<Model>, String>,
    /// Its score.
    pub score: Score,
}

/// The role of a candidate from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Which.
    pub role: ModelRole,
    /// Why its role changed, for people; `None` if it did not.
    pub change: Option<Change>,
}

/// What happens to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It forecasts from now on.
    Promoted(String),
    /// It is rejected.
    Rejected(String),
}

/// Assigns a role to every candidate, in the order given. Without a full window no model is promoted or rejected.
#[must_use]
pub fn assign_roles(candidates: &[Candidate]) -> Vec<Assignment> {
    let before = Seats::taken(candidates);
    let (after, changes) = before.judged(candidates);
    candidates.iter().enumerate().map(|(i, candidate)| assignment(i, candidate, &after, &changes)).collect()
}

/// Which candidate has which role; the others stand by or are rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seats {
    champion: Option<usize>,
    challenger: Option<usize>,
    previous: Option<usize>,
}

impl Seats {
    /// The roles before any score is looked at.
    fn taken(candidates: &[Candidate]) -> Self {
        let first = |wanted: &dyn Fn(&Candidate) -> bool| {
            candidates.iter().position(|candidate| candidate.is_eligible() && wanted(candidate))
        };
        let newest = |wanted: &dyn Fn(usize, &Candidate) -> bool| {
            let wanted = candidates.iter().enumerate().filter(|(i, c)| c.is_eligible() && wanted(*i, c));
            wanted.max_by_key(|(i, c)| (c.created, std::cmp::Reverse(*i))).map(|(i, _)| i)
        };
        let had = |role| first(&|candidate| candidate.role == Some(role));
        let champion = newest(&|_, candidate| candidate.pinned)
            .or_else(|| had(ModelRole::Champion))
            .or_else(|| had(ModelRole::Previous))
            .or_else(|| first(&|candidate| candidate.built_in))
            .or_else(|| newest(&|_, _| true));
        let others = |role| had(role).filter(|&i| Some(i) != champion);
        // The champion until a person pinned another is the one to roll back to.
        let previous = others(ModelRole::Previous).or_else(|| others(ModelRole::Champion));
        // A rejected one that is eligible again has another file now.
        let fresh = |i, candidate: &Candidate| {
            let untried = matches!(candidate.role, None | Some(ModelRole::Rejected));
            Some(i) != champion && Some(i) != previous && untried && !candidate.built_in
        };
        let challenger = newest(&fresh).or_else(|| others(ModelRole::Challenger));
        Self { champion, challenger, previous }
    }

    /// The roles from now on, and what changed.
    fn judged(self, candidates: &[Candidate]) -> (Self, Vec<(usize, Change)>) {
        let Some(champion) = self.champion.filter(|&i| !candidates[i].pinned) else {
            return (self, Vec::new());
        };
        let score = |i: usize| candidates[i].score;
        if let Some(challenger) = self.challenger {
            match challenge(score(champion), score(challenger)) {
                Some(change @ Change::Promoted(_)) => {
                    let after =
                        Self { champion: Some(challenger), previous: Some(champion), challenger: None };
                    return (after, vec![(challenger, change)]);
                }
                Some(change) => return (Self { challenger: None, ..self }, vec![(challenger, change)]),
                None => {}
            }
        }
        let back = self.previous.or_else(|| candidates.iter().position(|c| c.built_in && c.is_eligible()));
        let Some((back, why)) = back
            .filter(|&back| back != champion)
            .and_then(|back| Some((back, drifted(score(champion), score(back))?)))
        else {
            return (self, Vec::new());
        };
        let changes = vec![
            (champion, Change::Rejected(why.clone())),
            (back, Change::Promoted(format!("back in place of {}: {why}", candidates[champion].name))),
        ];
        (Self { champion: Some(back), previous: None, ..self }, changes)
    }
}

impl Candidate {
    /// Whether it may have a role: sound, and not the very file that was rejected. A pin overrides a rejection.
    fn is_eligible(&self) -> bool {
        let Ok(model) = &self.model else { return false };
        self.pinned || self.rejected_file.as_deref() != Some(super::short(model.digest()))
    }
}

/// What becomes of a challenger; `None` while that is open.
fn challenge(champion: Score, challenger: Score) -> Option<Change> {
    if !challenger.full || !champion.full || !challenger.loss.is_finite() {
        return None;
    }
    let (mine, theirs) = (challenger.loss.max(NEGLIGIBLE), champion.loss.max(NEGLIGIBLE));
    let covers = COVERAGE.contains(&challenger.coverage);
    let figures = format!(
        "a pinball loss of {:.4} against the champion's {:.4} over {} forecasts, coverage of p90 {:.2}",
        challenger.loss, champion.loss, challenger.forecasts, challenger.coverage
    );
    if mine <= BETTER * theirs && covers {
        Some(Change::Promoted(figures))
    } else if mine > WORSE * theirs {
        Some(Change::Rejected(format!("worse: {figures}; train it on newer loads")))
    } else {
        None
    }
}

/// Why a champion is rolled back, if it is.
fn drifted(champion: Score, previous: Score) -> Option<String> {
    let worse = |than: f64| champion.loss > WORSE * than.max(NEGLIGIBLE);
    let loss = champion.loss;
    let (mine, theirs) = (champion.forecasts, previous.forecasts);
    if previous.full && mine < theirs / 2 {
        Some(format!("it answered {mine} times, where the one before it answered {theirs} times"))
    } else if !champion.full {
        None
    } else if worse(champion.baseline) {
        Some(format!("a pinball loss of {loss:.4}, where a baseline has {:.4}", champion.baseline))
    } else if previous.full && worse(previous.loss) {
        Some(format!("a pinball loss of {loss:.4}, where the one before it has {:.4}", previous.loss))
    } else {
        None
    }
}

fn assignment(i: usize, candidate: &Candidate, seats: &Seats, changes: &[(usize, Change)]) -> Assignment {
    let change = changes.iter().find(|(whose, _)| *whose == i).map(|(_, change)| change.clone());
    let role = match &change {
        _ if seats.champion == Some(i) => ModelRole::Champion,
        _ if seats.challenger == Some(i) => ModelRole::Challenger,
        _ if seats.previous == Some(i) => ModelRole::Previous,
        Some(Change::Rejected(_)) => ModelRole::Rejected,
        _ if !candidate.is_eligible() => ModelRole::Rejected,
        _ => ModelRole::Standby,
    };
    // Without a comparison a model becomes champion by a pin, or because it is the only one.
    let silent = role == ModelRole::Champion && candidate.role != Some(role) && change.is_none();
    let why = if candidate.pinned { "a person pinned it" } else { "no better one is sound" };
    Assignment { role, change: change.or_else(|| silent.then(|| Change::Promoted(why.into()))) }
}

#[cfg(test)]
mod tests;
