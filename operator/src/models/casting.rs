//! Who plays which part: pure. A challenger must prove over a full window that it is better; a champion that got
//! worse gives its place back; a person's pin beats both.

use std::sync::Arc;

use foreshift_api::load_model::ModelRole;
use foreshift_predictor::Model;
use k8s_openapi::jiff::Timestamp;

use super::contest::Standing;

/// A challenger takes over at this part of the champion's loss: what is less could be luck.
const BETTER: f64 = 0.98;

/// Above this part of what it is held against, a model is turned down.
const WORSE: f64 = 1.05;

/// Coverage of p90 within which a challenger may take over; 0.9 is promised, and calibration keeps a sound model
/// near it.
const COVERAGE: std::ops::RangeInclusive<f64> = 0.85..=0.96;

/// A mean loss too small to matter, as in [`foreshift_predictor::Skill`]: a dead-flat cluster turns down nobody.
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
    /// Which part it played so far.
    pub role: Option<ModelRole>,
    /// The file that was turned down under this name, by its first digits.
    pub turned_down: Option<String>,
    /// The model, or why there is none.
    pub model: Result<Arc<Model>, String>,
    /// How it does.
    pub standing: Standing,
}

/// The part that a candidate plays from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub role: ModelRole,
    /// What just happened to it, for people; `None` if nothing did.
    pub change: Option<Change>,
}

/// What happens to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It forecasts from now on.
    Promoted(String),
    /// It is turned down.
    Rejected(String),
}

/// Casts every candidate, in the order given. Nobody is promoted or turned down without a full window.
#[must_use]
pub fn cast(candidates: &[Candidate]) -> Vec<Part> {
    let before = Parts::taken(candidates);
    let (after, changes) = before.judged(candidates);
    candidates.iter().enumerate().map(|(i, candidate)| part(i, candidate, &after, &changes)).collect()
}

/// Places of those who play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts {
    champion: Option<usize>,
    challenger: Option<usize>,
    previous: Option<usize>,
}

impl Parts {
    /// Who plays, before anybody is judged.
    fn taken(candidates: &[Candidate]) -> Self {
        let first = |wanted: &dyn Fn(&Candidate) -> bool| {
            candidates.iter().position(|candidate| candidate.plays() && wanted(candidate))
        };
        let newest = |wanted: &dyn Fn(usize, &Candidate) -> bool| {
            let wanted = candidates.iter().enumerate().filter(|(i, c)| c.plays() && wanted(*i, c));
            wanted.max_by_key(|(i, c)| (c.created, std::cmp::Reverse(*i))).map(|(i, _)| i)
        };
        let had = |role| first(&|candidate| candidate.role == Some(role));
        let champion = newest(&|_, candidate| candidate.pinned)
            .or_else(|| had(ModelRole::Champion))
            .or_else(|| had(ModelRole::Previous))
            .or_else(|| first(&|candidate| candidate.built_in))
            .or_else(|| newest(&|_, _| true));
        let others = |role| had(role).filter(|&i| Some(i) != champion);
        // Who was champion until a person pinned another is the one to go back to.
        let previous = others(ModelRole::Previous).or_else(|| others(ModelRole::Champion));
        // One that was turned down and plays all the same has another file now.
        let fresh = |i, candidate: &Candidate| {
            let untried = matches!(candidate.role, None | Some(ModelRole::Rejected));
            Some(i) != champion && Some(i) != previous && untried && !candidate.built_in
        };
        let challenger = newest(&fresh).or_else(|| others(ModelRole::Challenger));
        Self { champion, challenger, previous }
    }

    /// Who plays from now on, and what happens to whom.
    fn judged(self, candidates: &[Candidate]) -> (Self, Vec<(usize, Change)>) {
        let Some(champion) = self.champion.filter(|&i| !candidates[i].pinned) else {
            return (self, Vec::new());
        };
        let standing = |i: usize| candidates[i].standing;
        if let Some(challenger) = self.challenger {
            match challenge(standing(champion), standing(challenger)) {
                Some(change @ Change::Promoted(_)) => {
                    let parts =
                        Self { champion: Some(challenger), previous: Some(champion), challenger: None };
                    return (parts, vec![(challenger, change)]);
                }
                Some(change) => return (Self { challenger: None, ..self }, vec![(challenger, change)]),
                None => {}
            }
        }
        let back = self.previous.or_else(|| candidates.iter().position(|c| c.built_in && c.plays()));
        let Some((back, why)) = back
            .filter(|&back| back != champion)
            .and_then(|back| Some((back, drifted(standing(champion), standing(back))?)))
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
    /// Whether it may play: sound, and not the very file that was turned down. A person's pin forgives.
    fn plays(&self) -> bool {
        let Ok(model) = &self.model else { return false };
        self.pinned || self.turned_down.as_deref() != Some(super::short(model.digest()))
    }
}

/// What becomes of a challenger; `None` while that is open.
fn challenge(champion: Standing, challenger: Standing) -> Option<Change> {
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

/// Why a champion must give its place back, if it must.
fn drifted(champion: Standing, previous: Standing) -> Option<String> {
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

fn part(i: usize, candidate: &Candidate, parts: &Parts, changes: &[(usize, Change)]) -> Part {
    let change = changes.iter().find(|(whose, _)| *whose == i).map(|(_, change)| change.clone());
    let role = match &change {
        _ if parts.champion == Some(i) => ModelRole::Champion,
        _ if parts.challenger == Some(i) => ModelRole::Challenger,
        _ if parts.previous == Some(i) => ModelRole::Previous,
        Some(Change::Rejected(_)) => ModelRole::Rejected,
        _ if !candidate.plays() => ModelRole::Rejected,
        _ => ModelRole::Standby,
    };
    // Without a contest a model becomes champion by a pin, or because it is the only one.
    let silent = role == ModelRole::Champion && candidate.role != Some(role) && change.is_none();
    let why = if candidate.pinned { "a person pinned it" } else { "no better one is sound" };
    Part { role, change: change.or_else(|| silent.then(|| Change::Promoted(why.into()))) }
}

#[cfg(test)]
mod tests;
