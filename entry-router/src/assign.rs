//! The routes as the assigner behind the API and the endpoint picker.

use std::{borrow::Cow, net::SocketAddr};

use foreshift_frontends::assign::{self, Assign, Assigned, Class};

use crate::{
    assigner::{Entry, Held, Outcome, Refusal},
    entry::class,
    routes::Routes,
    snapshot::RouteKey,
};

/// Endpoints told for one entry: the one that it is assigned to, and where to go if that fails.
const TOLD: usize = 3;

/// When to ask again while too many entries are under way.
const LATER: std::time::Duration = std::time::Duration::from_secs(1);

impl Assign for Routes {
    type Ticket = Held;

    fn assign(&self, asked: &assign::Entry<'_>) -> Result<Assigned<Held>, assign::Refusal> {
        let unknown = || assign::Refusal::UnknownRoute(asked.route.to_owned());
        let (namespace, name) = asked.route.split_once('/').ok_or_else(unknown)?;
        let key = RouteKey { namespace: namespace.to_owned(), name: name.to_owned() };
        let assigner = self.get(&key).ok_or_else(unknown)?;
        let class = match asked.class {
            Class::Named(class) => Cow::Borrowed(class),
            Class::Request(head) => class::of(head, &assigner.classify()),
        };
        let bytes = (asked.bytes > 0).then_some(asked.bytes);
        let entry = Entry { class: &class, bytes, ..Entry::default() };
        let (choice, held) = assigner.assign(&entry, &[], asked.within).map_err(|refusal| match refusal {
            Refusal::NoEndpoint => assign::Refusal::NoEndpoint(asked.route.to_owned()),
            Refusal::TooMany => assign::Refusal::Overloaded(LATER),
        })?;
        let (mut endpoints, mut tried) = (vec![choice.endpoint], vec![choice.place]);
        while endpoints.len() < TOLD {
            match assigner.choose(&entry, &tried, asked.within) {
                Ok(next) if !tried.contains(&next.place) => {
                    endpoints.push(next.endpoint);
                    tried.push(next.place);
                }
                _ => break,
            }
        }
        let (resource, reason) = (choice.resource.to_string(), choice.reason.to_string());
        Ok(Assigned { ticket: held, resource, endpoints, reason })
    }

    fn close(&self, mut held: Held, endpoint: Option<SocketAddr>, outcome: assign::Outcome) {
        if let Some(endpoint) = endpoint {
            held.served_by(endpoint);
        }
        match outcome {
            assign::Outcome::Acknowledged(took) => held.finish_after(took),
            assign::Outcome::Failed => held.finish(Outcome::Failed),
            assign::Outcome::Released => held.finish(Outcome::Cancelled),
        }
    }

    fn is_ready(&self) -> bool {
        !self.all().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use foreshift_frontends::assign::Refusal;
    use http::Request;

    use super::*;
    use crate::{assigner::Settings, snapshot::file};

    const TEXT: &str = r#"
routes:
- name: journal
  spec:
    lead: {service: a, port: 80}
    alternates: [{service: b, port: 80}]
    target: {service: journal}
    classify: {type: {header: x-entry-type}}
  resources:
    a: {endpoints: ["127.0.0.1:1"], capacity: 8}
    b: {endpoints: ["127.0.0.1:2"], capacity: 8}
"#;

    fn assigner() -> Routes {
        let routes = Routes::new(Settings { explore: 0.0, ..Settings::default() });
        routes.update(file::parse("routes.yaml", TEXT).unwrap());
        routes
    }

    fn asked<'a>(route: &'a str, class: Class<'a>, within: Option<&'a [SocketAddr]>) -> assign::Entry<'a> {
        assign::Entry { route, class, bytes: 512, within }
    }

    #[test]
    fn the_other_resources_follow_as_fallbacks_and_outcomes_are_counted_where_they_were() {
        let assigner = assigner();
        let assigned = assigner.assign(&asked("default/journal", Class::Named("audit"), None)).unwrap();
        let [first, second]: [SocketAddr; 2] =
            ["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()];
        assert_eq!((assigned.resource.as_str(), &assigned.endpoints), ("a", &vec![first, second]));
        assigner.close(assigned.ticket, Some(second), assign::Outcome::Acknowledged(Duration::ZERO));
        let tally = assigner.only().unwrap().tally();
        assert_eq!(tally.in_flight, 0);
        assert_eq!(tally.resources[1].outcomes[Outcome::Acknowledged as usize], 1);
    }

    #[test]
    fn the_class_of_a_request_is_what_the_route_names() {
        let assigner = assigner();
        let head = Request::post("/").header("x-entry-type", "audit").body(()).unwrap().into_parts().0;
        let assigned = assigner.assign(&asked("default/journal", Class::Request(&head), None)).unwrap();
        assigner.close(assigned.ticket, None, assign::Outcome::Failed);
        assert_eq!(assigner.only().unwrap().recent(1)[0].class, "audit");
    }

    #[test]
    fn what_is_not_known_is_refused_and_a_subset_is_kept_to() {
        let assigner = assigner();
        let refused =
            |route, within| assigner.assign(&asked(route, Class::Named(""), within)).map(drop).unwrap_err();
        assert!(assigner.is_ready() && !Routes::default().is_ready());
        assert_eq!(refused("shop/journal", None), Refusal::UnknownRoute("shop/journal".into()));
        assert_eq!(refused("journal", None), Refusal::UnknownRoute("journal".into()));
        let elsewhere = ["127.0.0.1:9".parse().unwrap()];
        assert_eq!(
            refused("default/journal", Some(&elsewhere)),
            Refusal::NoEndpoint("default/journal".into())
        );
        let second = ["127.0.0.1:2".parse().unwrap()];
        let kept = assigner.assign(&asked("default/journal", Class::Named(""), Some(&second))).unwrap();
        assert_eq!(kept.endpoints, second);
    }
}
