//! The state file holds anything: it is refused, or the agent goes on from it with a persona that is one.

use std::{path::Path, time::Duration};

use foreshift_api::Span;
use foreshift_engine::persona::load::Usage;
use proptest::prelude::*;

use super::Store;
use crate::{
    fuzz::{disfigured, fuzz, is_sound},
    persona::{Costing, Identity, Persona, Surroundings},
    sample::Sample,
};

const SOUND: &str = r#"{"version":1,"memory":{"status":{"observedAt":"2026-01-15T08:00:00Z","sequence":7,"bootID":"0a1b",
"scores":{"capacity":60,"stability":97,"affinity":62,"cost":50},
"stability":{"uptimeSeconds":7200,"readyRatio":"0.99","errorRatio":"0.01","contention":"0.1","restarts":"1.5","halfLife":"6h"},
"workloads":[{"namespace":"shop","service":"a","pods":2,"cpu":{"capacity":"1","used":"0.5"},
"memory":{"capacity":"0","used":"4096"},"load":"0.5","fine":[500,510],"coarse":[500]}],
"affinity":[{"class":"/a","score":62,"samples":250,"errorRatio":"0.02","meanServiceTime":"0.021","observer":"agent"}],
"history":{"fine":{"period":"2s","step":884000000,"load":[500,510,520]},"coarse":{"period":"15s","step":117866666,"load":[500]}},
"conditions":[{"type":"Ready","status":"True","reason":"Sampled","message":"","lastTransitionTime":"2026-01-15T08:00:00Z"}]},
"averages":{"ready":[0.25,0.5],"contention":[0.1,0.5],"restarts":3.0,"answered":[900.0,9.0]}}}"#;

#[test]
fn state_files() {
    let store = Store::new(Path::new("/state"));
    let sample = |unix: f64| Sample {
        unix,
        elapsed: Duration::from_secs(1),
        cpu: Usage { capacity: 2.0, used: 1.0, ..Usage::default() },
        ..Sample::default()
    };
    assert!(store.parse(SOUND.as_bytes()).is_ok(), "what is disfigured was sound");
    fuzz(&(disfigured(SOUND), any::<u32>()), |(json, unix)| {
        let unix = f64::from(unix);
        let Ok(memory) = store.parse(&json) else { return Ok(()) };
        let identity = Identity { boot_id: "2c3d".into(), ..Identity::default() };
        let half_life = Span::from_secs(3600);
        let mut persona = Persona::new(identity, Costing::default(), half_life, Some(memory), unix);
        for second in 0..2 {
            persona.observe(sample(unix + f64::from(second)), &Surroundings::default());
            is_sound(&mut persona, &Surroundings::default())?;
        }
        Ok(())
    });
}
