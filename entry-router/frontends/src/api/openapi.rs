//! The JSON API described as `OpenAPI`, made from the types of [`super::json`].

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::json::{
    AssignBatchRequest, AssignBatchResponse, AssignRequest, AssignResponse, Problem, ProblemReason,
    ReportRequest, ReportResponse,
};

/// One operation: every one is a POST.
struct Operation {
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    request: Value,
    response: Value,
    problems: &'static [ProblemReason],
}

/// The whole document.
#[must_use]
pub fn document() -> Value {
    use ProblemReason::{Invalid, NoEndpoint, Overloaded, UnknownRoute};
    let mut types = SchemaSettings::openapi3().into_generator();
    let problem = reference::<Problem>(&mut types);
    let operations = [
        Operation {
            path: "/v1/assign",
            id: "assign",
            summary: "Assign one entry.",
            request: reference::<AssignRequest>(&mut types),
            response: reference::<AssignResponse>(&mut types),
            problems: &[Invalid, UnknownRoute, Overloaded, NoEndpoint],
        },
        Operation {
            path: "/v1/assign/batch",
            id: "assignBatch",
            summary: "Assign entries in one call, in order; each has a result of its own.",
            request: reference::<AssignBatchRequest>(&mut types),
            response: reference::<AssignBatchResponse>(&mut types),
            problems: &[Invalid],
        },
        Operation {
            path: "/v1/report",
            id: "report",
            summary: "Report what became of entries; what is never reported is released when its lease ends.",
            request: reference::<ReportRequest>(&mut types),
            response: reference::<ReportResponse>(&mut types),
            problems: &[Invalid],
        },
    ];
    let paths: Map<String, Value> =
        operations.iter().map(|one| (one.path.to_owned(), one.describe(&problem))).collect();
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Foreshift entry router",
            "version": "v1",
            "description": "For journal services that send entries themselves: ask where an entry goes, send it there, report what \
                            became of it. The same as gRPC is in proto/foreshift/router/v1/router.proto.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "paths": paths,
        "components": {"schemas": types.take_definitions(true)},
    })
}

impl Operation {
    fn describe(&self, problem: &Value) -> Value {
        let body = |schema: &Value| json!({"application/json": {"schema": schema}});
        let mut responses = Map::new();
        responses
            .insert("200".into(), json!({"description": "It was done.", "content": body(&self.response)}));
        for reason in self.problems {
            let told = json!({"description": format!("{reason:?}"), "content": body(problem)});
            responses.insert(reason.status().as_u16().to_string(), told);
        }
        json!({"post": {
            "operationId": self.id,
            "summary": self.summary,
            "requestBody": {"required": true, "content": body(&self.request)},
            "responses": responses,
        }})
    }
}

fn reference<T: JsonSchema>(types: &mut SchemaGenerator) -> Value {
    types.subschema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_document_is_what_the_types_generate() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.yaml");
        let generated = serde_yaml::to_string(&document()).unwrap();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == generated, "{path} is out of date; run: UPDATE=1 cargo test -p foreshift-frontends");
    }
}
