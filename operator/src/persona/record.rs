//! The coarse loads of every node, into the history.

use std::{collections::HashMap, sync::Arc};

use foreshift_api::ResourcePersona;
use foreshift_engine::demand::Series;

use super::name;
use crate::history::{Cursor, History};

/// How far each node is recorded.
#[derive(Debug, Default)]
pub struct Recorded(HashMap<String, Cursor>);

impl Recorded {
    /// Hands in what is new of every node's window.
    pub fn follow(&mut self, personas: &[Arc<ResourcePersona>], history: &History) {
        self.0.retain(|node, _| personas.iter().any(|persona| name(persona) == node));
        for persona in personas {
            let Some(recent) = persona.status.as_ref().and_then(|status| status.history.as_ref()) else {
                continue;
            };
            let window = &recent.coarse;
            let values = window.load.iter().map(|&permille| f64::from(permille) / 1000.0).collect();
            let node = name(persona);
            let cursor = self.0.entry(node.to_owned()).or_default();
            let series = Series { step: window.step, values };
            history.follow(cursor, || format!("node/{node}"), window.period.get(), &series);
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::{
        fixtures::{NOW, later, node},
        history::{
            store::Reader,
            writer::{self, Place},
        },
        metrics::Metrics,
    };

    #[test]
    fn every_step_of_a_node_is_recorded_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path().into(), most: 1 << 20 };
        let (history, writer) = writer::new(place, Metrics::register(&mut Registry::default()));
        let mut recorded = Recorded::default();
        for seconds in [0, 1, 15, 40] {
            let persona = node("n1").with_history(|step| (step % 7) as f64 / 10.0).persona(later(seconds));
            recorded.follow(&[Arc::new(persona)], &history);
        }
        drop(history);
        writer.run();
        let rows = Reader::open(folder.path(), 0).unwrap().unwrap().page().unwrap();
        let times: Vec<i64> = rows.iter().map(|row| row.time).collect();
        assert!(times.windows(2).all(|pair| pair[1] == pair[0] + 15), "{times:?}");
        let newest = node("n1").with_history(|_| 0.0).persona(later(40)).status.unwrap().history.unwrap();
        assert_eq!(times.last(), Some(&(newest.coarse.step * 15)));
        assert!(NOW.as_second() - times[0] >= 31 * 15);
        assert!(rows.iter().all(|row| row.series == "node/n1" && row.permille == row.time / 15 % 7 * 100));
    }
}
