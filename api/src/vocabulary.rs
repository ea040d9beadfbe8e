//! Words of the API: enums whose documentation also becomes schema descriptions and reference pages.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

/// Declares an enum of names that the API shows. Its documentation is available at run time.
///
/// The enum gets `ALL`, `name()`, `description()` and `Display`. Every variant needs a `///` comment.
#[macro_export]
macro_rules! vocabulary {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident { $($(#[doc = $doc:literal])+ $variant:ident,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// Every value, in the order in which they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name as the API shows it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }

            /// What the name means, in one or more sentences.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim()),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

/// Appends the values of the enum `T` and their meaning to the description of a field.
///
/// Kubernetes drops the documentation of enum values from a schema, so `kubectl explain` would list bare names.
pub(crate) fn values_of<T: JsonSchema>(field: &mut Schema) {
    let schema = T::json_schema(&mut SchemaGenerator::default());
    let values = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    append(
        field,
        "Possible values:",
        values.filter_map(|value| Some((text(value, "const")?, meaning(value)?))),
    );
}

/// Appends a list to the description of a field: `title`, and `values`, each a name and its meaning.
pub(crate) fn append<'a>(field: &mut Schema, title: &str, values: impl Iterator<Item = (&'a str, &'a str)>) {
    let before = field.get("description").and_then(Value::as_str).unwrap_or_default();
    let items: Vec<String> = values.map(|(name, meaning)| format!("\n- `{name}`: {meaning}")).collect();
    let description = format!("{before} {title}{}", items.concat());
    // kube lets the description of an optional field's type override that of the field.
    for part in field.get_mut("anyOf").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(part) = part.as_object_mut().filter(|part| part.contains_key("description")) {
            part.insert("description".into(), description.clone().into());
        }
    }
    field.insert("description".into(), description.into());
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn meaning(value: &Value) -> Option<&str> {
    text(value, "description")
}
