use super::*;

const SOUND: &str = "\
duration: 10m
resources:
  a: {nodes: [{cores: 2}], price: 0.1}
  b: {nodes: [{cores: 2}], price: 0.1}
classes:
- {name: order, workMs: 5}
route:
  lead: {service: a, port: 9428}
  alternates: [{service: b, port: 9428}]
  target: {service: journal}
demand: {shape: {constant: {level: 0.5}}}
";

fn error(text: &str) -> String {
    match Scenario::parse(Path::new("s.yaml"), text) {
        Ok(_) => panic!("it was taken:\n{text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_shortest_scenario_is_eleven_lines() {
    let scenario = Scenario::parse(Path::new("s.yaml"), SOUND).unwrap();
    assert_eq!(scenario.routes().count(), 1);
    assert_eq!(scenario.delays, Delays::default());
    assert_eq!(scenario.resources["a"].nodes[0].workers(), 2);
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_what_was_expected() {
    let cases: [(&str, &str, u64, &str); 19] = [
        ("duration: 10m", "duration: ten", 1, "duration"),
        ("duration: 10m", "duration: 0s", 1, "10m"),
        ("cores: 2}], price: 0.1}\n  b", "cores: -2}], price: 0.1}\n  b", 3, "a number above 0"),
        ("price: 0.1}\n  b", "price: -1}\n  b", 3, "a number, 0 or more"),
        ("price: 0.1}\n  b", "prize: 1}\n  b", 3, "price"),
        ("nodes: [{cores: 2}], price: 0.1}\n  b", "nodes: []}\n  b", 3, "at least one node"),
        ("workMs: 5", "workMs: .nan", 6, "a number above 0"),
        ("workMs: 5", "workMs: five", 6, "f64"),
        ("workMs: 5", "bytes: {pareto: {least: 5, most: 5, tail: 1}}, workMs: 5", 6, "least: 500"),
        ("lead: {service: a,", "lead: {service: x,", 8, "one of a, b"),
        ("alternates: [{service: b,", "alternates: [{service: a,", 3, "every Service once"),
        (
            "target: {service: journal}",
            "target: {service: journal}\n  objektive: {}",
            8,
            "spec of a JournalRoute",
        ),
        ("target: {service: journal}", "target: {service: journal}\n  weights: {cost: -1}", 11, "0 or more"),
        ("level: 0.5", "level: -0.5", 11, "a number, 0 or more"),
        ("constant", "konstant", 11, "one of `constant`"),
        ("workMs: 5", "workMs: 0.00001", 11, "5 million a second"),
        ("cores: 2}], price: 0.1}\n  b", "cores: 2, pods: 60000}], price: 0.1}\n  b", 3, "fewer pods"),
        ("demand: ", "load: ", 11, "`demand`"),
        (
            "demand: ",
            "faults: [{kind: errors, resource: z, from: 1s}]\ndemand: ",
            11,
            "the name of a resource",
        ),
    ];
    for (from, to, line, expected) in cases {
        let told = error(&SOUND.replacen(from, to, 1));
        let place = format!("s.yaml:{line}: ");
        assert!(told.starts_with(&place) || told.contains("route"), "{to}: {told}");
        assert!(told.contains(expected) && told.contains("; expected "), "{to}: {told}");
    }
}

#[test]
fn a_file_that_holds_nothing_or_is_no_yaml_is_refused() {
    for (text, told) in
        [("", "empty"), (" \n", "empty"), ("{", "scenario"), ("- 1", "scenario"), ("\u{0}", "scenario")]
    {
        assert!(error(text).contains(told), "{text:?}: {}", error(text));
    }
    assert!(error(&"#".repeat(2_000_000)).contains("larger than 1 MiB"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let told = Scenario::read(Path::new("/nowhere/s.yaml")).unwrap_err().to_string();
    assert!(told.contains("/nowhere/s.yaml"), "{told}");
}
