//! `crds/*.yaml` is what the types generate; `UPDATE=1 cargo test -p foreshift-api` rewrites it.

use foreshift_api::{JournalRoute, LoadModel, ResourcePersona};
use kube::CustomResourceExt;

#[test]
fn the_crds_in_the_repository_are_what_the_types_generate() {
    for crd in [JournalRoute::crd(), LoadModel::crd(), ResourcePersona::crd()] {
        let plural = crd.spec.names.plural.clone();
        let path = format!("{}/../crds/{plural}.yaml", env!("CARGO_MANIFEST_DIR"));
        let generated = serde_yaml::to_string(&crd).unwrap();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == generated, "{path} is out of date; run: UPDATE=1 cargo test -p foreshift-api");
    }
}

#[test]
fn the_shortest_route_is_ten_lines_and_gets_every_default() {
    let yaml = "apiVersion: foreshift.dev/v1alpha1
kind: JournalRoute
metadata:
  name: journal
spec:
  lead: {service: journal-a, port: 19532}
  alternates:
  - {service: journal-b, port: 19532}
  target:
    service: journal
";
    let route: JournalRoute = serde_yaml::from_str(yaml).unwrap();
    assert_eq!(yaml.lines().count(), 10);
    assert!((route.spec.objective.lead_load.get() - 0.75).abs() < 1e-12);
    assert_eq!(route.spec.limits.hold_down.to_string(), "30s");
    assert_eq!(route.spec.objective.horizon.get(), None);
}
