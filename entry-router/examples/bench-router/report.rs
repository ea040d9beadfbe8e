//! `router.json`: what several harnesses write into one file, each its own part.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

const FILE: &str = "router.json";

/// The folder of the report, made if it is missing, as an absolute path.
pub(crate) fn folder(out: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(out)?;
    fs::canonicalize(out)
}

/// Replaces the parts that `new` has; what others wrote, and ratios of other names, stay.
pub(crate) fn write(folder: &Path, new: &Value) -> io::Result<()> {
    let path = folder.join(FILE);
    let known = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let mut report = known.filter(Value::is_object).unwrap_or_else(|| json!({}));
    for (part, value) in new.as_object().into_iter().flatten() {
        match (report[part].as_object_mut(), value.as_object()) {
            (Some(known), Some(value)) => known.extend(value.clone()),
            _ => report[part] = value.clone(),
        }
    }
    fs::write(path, serde_json::to_string_pretty(&report)?)
}
