use ModelRole::{Challenger, Champion, Previous, Rejected, Standby};

use super::*;
use crate::fixtures::later;

const FULL: Score = Score { forecasts: 500, full: true, loss: 0.05, baseline: 0.06, coverage: 0.9 };

fn shipped() -> Arc<Model> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    Arc::new(super::super::Files::in_folder(folder.as_ref()).unwrap().load().unwrap())
}

/// Candidates by name, role and score, the oldest first; `shipped` is the built-in one.
fn candidates(of: &[(&str, Option<ModelRole>, Score)]) -> Vec<Candidate> {
    let model = shipped();
    let one = |(age, &(name, role, score)): (usize, &(&str, Option<ModelRole>, Score))| Candidate {
        name: name.into(),
        created: Some(later(age as i64)),
        pinned: false,
        built_in: name == "shipped",
        role,
        rejected_file: None,
        model: Ok(model.clone()),
        score,
    };
    of.iter().enumerate().map(one).collect()
}

fn roles(candidates: &[Candidate]) -> Vec<ModelRole> {
    assign_roles(candidates).into_iter().map(|part| part.role).collect()
}

fn losing(loss: f64) -> Score {
    Score { loss, ..FULL }
}

#[test]
fn the_built_in_model_forecasts_until_another_is_better() {
    let all = candidates(&[("shipped", None, FULL), ("new", None, Score::default())]);
    assert_eq!(roles(&all), [Champion, Challenger]);
    assert!(
        matches!(&assign_roles(&all)[0].change, Some(Change::Promoted(why)) if why.contains("no better one"))
    );
}

#[test]
fn a_verdict_needs_a_full_window_a_clear_lead_and_coverage() {
    let not_full = Score { full: false, ..losing(0.01) };
    let uncovered = Score { coverage: 0.7, ..losing(0.01) };
    let cases = [
        (FULL, losing(0.04), [Previous, Champion]),
        (FULL, losing(0.0495), [Champion, Challenger]),
        (FULL, losing(0.052), [Champion, Challenger]),
        (FULL, losing(0.06), [Champion, Rejected]),
        (FULL, not_full, [Champion, Challenger]),
        (Score { full: false, ..FULL }, losing(0.01), [Champion, Challenger]),
        (FULL, uncovered, [Champion, Challenger]),
        (FULL, losing(f64::NAN), [Champion, Challenger]),
    ];
    for (champion, challenger, expected) in cases {
        let all = candidates(&[("a", Some(Champion), champion), ("b", Some(Challenger), challenger)]);
        assert_eq!(roles(&all), expected, "{champion:?} against {challenger:?}");
    }
}

#[test]
fn a_promotion_says_by_which_figures() {
    let all = candidates(&[("a", Some(Champion), FULL), ("b", Some(Challenger), losing(0.04))]);
    let Some(Change::Promoted(why)) = assign_roles(&all)[1].change.clone() else { panic!("not promoted") };
    assert!(why.contains("0.0400") && why.contains("0.0500") && why.contains("500"), "{why}");
}

#[test]
fn a_champion_that_got_worse_gives_its_place_back() {
    let worse_than_a_baseline = Score { loss: 0.07, ..FULL };
    let cases = [
        (worse_than_a_baseline, losing(0.08), [Standby, Champion, Rejected]),
        (losing(0.055), losing(0.05), [Standby, Champion, Rejected]),
        (losing(0.052), losing(0.05), [Standby, Previous, Champion]),
        (Score { full: false, ..worse_than_a_baseline }, losing(0.05), [Standby, Previous, Champion]),
        (Score { forecasts: 20, full: false, ..FULL }, losing(0.05), [Standby, Champion, Rejected]),
    ];
    for (champion, previous, expected) in cases {
        let all = candidates(&[
            ("shipped", Some(Standby), Score::default()),
            ("old", Some(Previous), previous),
            ("drifting", Some(Champion), champion),
        ]);
        assert_eq!(roles(&all), expected, "{champion:?} after {previous:?}");
    }
    let all = candidates(&[("shipped", Some(Standby), FULL), ("only", Some(Champion), losing(0.07))]);
    assert_eq!(roles(&all), [Champion, Rejected], "without a previous one the built-in comes back");
    let all = candidates(&[("shipped", Some(Champion), losing(0.07))]);
    assert_eq!(roles(&all), [Champion], "the last one stays; the ladder decides whether it acts");
}

#[test]
fn a_pin_wins_whatever_the_figures_say_and_its_end_brings_the_champion_back() {
    let mut all = candidates(&[("a", Some(Champion), FULL), ("b", Some(Standby), losing(0.5))]);
    all[1].pinned = true;
    assert_eq!(roles(&all), [Previous, Champion]);
    (all[0].role, all[1].role) = (Some(Previous), Some(Champion));
    assert_eq!(roles(&all), [Previous, Champion]);
    all[1].pinned = false;
    all[1].score = losing(0.07);
    assert_eq!(roles(&all), [Champion, Rejected]);
}

#[test]
fn what_is_not_sound_plays_no_part_and_the_champion_goes_on() {
    let mut all = candidates(&[("a", Some(Champion), FULL), ("b", Some(Challenger), losing(0.01))]);
    all[1].model = Err("no ONNX file".into());
    assert_eq!(roles(&all), [Champion, Rejected]);
    all[0].model = Err("gone".into());
    assert_eq!(roles(&all), [Rejected, Rejected]);
}

#[test]
fn a_file_that_was_rejected_file_gets_no_second_trial_and_another_file_does() {
    let mut all = candidates(&[("a", Some(Champion), FULL), ("b", Some(Rejected), losing(0.01))]);
    all[1].rejected_file = Some(super::super::short(shipped().digest()).into());
    assert_eq!(roles(&all), [Champion, Rejected]);
    all[1].rejected_file = Some("0123456789ab".into());
    assert_eq!(roles(&all), [Previous, Champion]);
}

#[test]
fn of_several_new_ones_the_newest_is_tried() {
    let none = Score::default();
    let all = candidates(&[("shipped", Some(Champion), FULL), ("b", None, none), ("c", None, none)]);
    assert_eq!(roles(&all), [Champion, Standby, Challenger]);
}

#[test]
fn nothing_is_cast_from_nothing_and_figures_without_a_loss_turn_down_nobody() {
    assert!(assign_roles(&[]).is_empty());
    let flat = Score { loss: 1e-5, baseline: 0.0, ..FULL };
    let all =
        candidates(&[("a", Some(Champion), flat), ("b", Some(Challenger), Score { loss: 3e-5, ..flat })]);
    assert_eq!(roles(&all), [Champion, Challenger]);
}
