//! The frame of a server-side apply: what every writer sends besides the fields that it owns.

use kube::Resource;
use serde_json::{Value, json};

/// An apply of an object of kind `K`, still without its name and fields.
#[must_use]
pub fn frame<K: Resource<DynamicType = ()>>() -> Value {
    json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {}})
}

/// An apply of the fields of `object` and of no other: its uid keeps the write from creating an object of the same
/// name after this one was deleted.
#[must_use]
pub fn frame_of<K: Resource<DynamicType = ()>>(object: &K) -> Value {
    let mut frame = frame::<K>();
    frame["metadata"]["uid"] = json!(object.meta().uid);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResourcePersona;

    #[test]
    fn a_frame_names_version_kind_and_uid() {
        let mut persona = ResourcePersona::new("n1", crate::ResourcePersonaSpec::default());
        persona.metadata.uid = Some("u".into());
        let expected = json!({"apiVersion": "foreshift.dev/v1alpha1", "kind": "ResourcePersona",
            "metadata": {"uid": "u"}});
        assert_eq!(frame_of(&persona), expected);
    }
}
