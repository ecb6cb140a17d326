//! The project's own files, for the tests that read them.

use std::fs;
use std::io;
use std::path::Path;

/// A text file: its path from the project's root, with `/` on every system, and what it says.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every Rust file below `folder`, in a settled order; none if there is no such folder.
pub(crate) fn rust_files(folder: &str) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    if root().join(folder).is_dir() {
        collect(folder, &mut found)?;
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// One file, by its path from the project's root.
pub(crate) fn file(path: &str) -> io::Result<String> {
    fs::read_to_string(root().join(path))
}

fn collect(folder: &str, found: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(root().join(folder))? {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&path, found)?;
        } else if path.ends_with(".rs") {
            let text = file(&path)?;
            found.push(Source { path, text });
        }
    }
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
