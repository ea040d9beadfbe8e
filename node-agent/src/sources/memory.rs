//! Memory working set and limit of a cgroup: what is used, less the page cache that nobody has touched lately.

use super::{
    cgroup::{Cgroup, Version},
    files::{Files, ReadError, keyed, number},
};

/// Version 1 writes "no limit" as the largest page-aligned number; nothing real comes near this.
const UNLIMITED: u64 = 1 << 60;

/// Working set in bytes, as the kubelet defines it for evictions.
pub(crate) fn working_set(files: &mut Files, cgroup: &Cgroup) -> Result<f64, ReadError> {
    let (current, inactive) = match cgroup.version {
        Version::V1 => ("memory.usage_in_bytes", "total_inactive_file"),
        Version::V2 => ("memory.current", "inactive_file"),
    };
    let used = files.read(&cgroup.memory.join(current), number)?;
    let idle = files.read(&cgroup.memory.join("memory.stat"), |text| keyed(text, inactive))?;
    Ok(used.saturating_sub(idle) as f64)
}

/// Limit in bytes; infinite where there is none.
pub(crate) fn limit(files: &mut Files, cgroup: &Cgroup) -> Result<f64, ReadError> {
    let file = match cgroup.version {
        Version::V1 => "memory.limit_in_bytes",
        Version::V2 => "memory.max",
    };
    files.read(&cgroup.memory.join(file), bytes)
}

/// A number of bytes or `max`.
fn bytes(text: &str) -> Option<f64> {
    if text.trim() == "max" {
        return Some(f64::INFINITY);
    }
    number(text).map(|bytes| if bytes < UNLIMITED { bytes as f64 } else { f64::INFINITY })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        super::{cgroup::Hierarchy, files::fixture::Tree},
        *,
    };

    #[test]
    fn no_limit_has_two_spellings() {
        let cases = [
            ("max\n", Some(f64::INFINITY)),
            ("9223372036854771712\n", Some(f64::INFINITY)),
            ("1073741824\n", Some(1_073_741_824.0)),
            ("lots", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn idle_page_cache_is_not_working_set() {
        let v1 = Tree::new();
        v1.write("cpu/n1/cpu.stat", "");
        v1.write("memory/n1/memory.usage_in_bytes", "1000\n");
        v1.write("memory/n1/memory.stat", "inactive_file 1\ntotal_inactive_file 400\n");
        v1.write("memory/n1/memory.limit_in_bytes", "2000\n");
        let v2 = Tree::new();
        v2.write("cgroup.controllers", "memory\n");
        v2.write("n1/memory.current", "1000\n");
        v2.write("n1/memory.stat", "anon 5\ninactive_file 400\n");
        v2.write("n1/memory.max", "2000\n");
        for tree in [v1, v2] {
            let cgroup = Hierarchy::detect(tree.root()).unwrap().existing(Path::new("n1")).unwrap();
            let mut files = Files::default();
            assert_eq!(working_set(&mut files, &cgroup).unwrap(), 600.0);
            assert_eq!(limit(&mut files, &cgroup).unwrap(), 2000.0);
        }
    }
}
