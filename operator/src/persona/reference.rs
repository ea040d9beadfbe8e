//! What nodes' affinities are measured against: how long entries take on the other resources of the same routes.
//!
//! Agents tell what entries took on their own nodes. Only the operator sees them all, so it tells each node the time
//! of the others, and seldom: the node's own figures move, the reference hardly does.

use std::{collections::BTreeMap, sync::Arc};

use foreshift_api::{Decimal, ResourcePersona, journal_route::ClassReference};

/// Entries (decayed) from which a node's figures for a class are a reference, and below which they are none again.
const ENOUGH: f64 = 50.0;
const TOO_FEW: f64 = 20.0;

/// A reference that changes by less than this factor is not written anew.
const SAME: f64 = 1.25;

/// Classes, as many as a persona tells of.
const MOST_CLASSES: usize = 32;

/// The reference of a node whose present one is `before`, from the personas of the nodes of the other resources.
#[must_use]
pub fn reference(
    others: impl IntoIterator<Item = Arc<ResourcePersona>>,
    before: &[ClassReference],
) -> Vec<ClassReference> {
    let present = |class: &str| before.iter().find(|reference| reference.class == class);
    let mut logs: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for persona in others {
        for row in persona.status.iter().flat_map(|status| &status.affinity) {
            let enough = if present(&row.class).is_some() { TOO_FEW } else { ENOUGH };
            let seconds = row.mean_service_time.map_or(0.0, Decimal::get);
            let successes = 1.0 - row.error_ratio.map_or(0.0, Decimal::get);
            let time_to_success = seconds / successes;
            if row.samples as f64 >= enough && seconds > 0.0 && successes > 0.0 && time_to_success.is_finite()
            {
                logs.entry(row.class.clone()).or_default().push(time_to_success.ln());
            }
        }
    }
    let references = logs.into_iter().map(|(class, logs)| {
        let mean = (logs.iter().sum::<f64>() / logs.len() as f64).exp();
        let kept = present(&class).map(|reference| reference.time_to_success);
        let kept = kept.filter(|kept| (1.0 / SAME..SAME).contains(&(kept.get() / mean)));
        ClassReference { time_to_success: kept.unwrap_or(Decimal::rounded(mean, 6)), class }
    });
    references.take(MOST_CLASSES).collect()
}

#[cfg(test)]
mod tests {
    use foreshift_api::resource_persona::Affinity;

    use super::*;
    use crate::fixtures::{NOW, node};

    fn persona(class: &str, samples: i64, seconds: f64, errors: f64) -> Arc<ResourcePersona> {
        let mut persona = node("n1").persona(NOW);
        let row = Affinity {
            class: class.into(),
            samples,
            error_ratio: Some(Decimal::new(errors)),
            mean_service_time: Some(Decimal::new(seconds)),
            ..Affinity::default()
        };
        persona.status.as_mut().expect("it has one").affinity = vec![row];
        Arc::new(persona)
    }

    fn present(seconds: f64) -> Vec<ClassReference> {
        vec![ClassReference { class: "a".into(), time_to_success: Decimal::new(seconds) }]
    }

    #[test]
    fn it_is_the_geometric_mean_of_the_others_with_errors_done_again() {
        let others =
            [persona("a", 100, 0.01, 0.0), persona("a", 100, 0.02, 0.5), persona("b", 49, 0.02, 0.0)];
        assert_eq!(reference(others, &[]), present(0.02));
    }

    #[test]
    fn it_stays_while_the_others_hardly_move_or_tell_less() {
        assert_eq!(reference([persona("a", 100, 0.012, 0.0)], &present(0.01)), present(0.01));
        assert_eq!(reference([persona("a", 100, 0.013, 0.0)], &present(0.01)), present(0.013));
        assert_eq!(reference([persona("a", 21, 0.01, 0.0)], &present(0.01)), present(0.01));
        assert_eq!(reference([persona("a", 19, 0.01, 0.0)], &present(0.01)), []);
    }

    #[test]
    fn what_makes_no_sense_is_no_reference() {
        for (seconds, errors) in [(0.0, 0.0), (-1.0, 0.0), (0.01, 1.0), (0.01, 2.0)] {
            assert_eq!(reference([persona("a", 100, seconds, errors)], &[]), [], "{seconds} {errors}");
        }
    }
}
