//! What `docs::dependencies` says of the crates that the default features bring along.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::sources::file;

#[test]
fn the_audit_lists_what_is_built() -> io::Result<()> {
    let audit = file("src/docs/dependencies.md")?;
    let rows = audit.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut rows: BTreeMap<&str, Vec<&str>> = rows
        .map(|row| {
            let (name, rest) = row.split_once("` | ").unwrap();
            (name, rest.trim_end_matches(" |").split(" | ").collect())
        })
        .collect();
    let built = built();
    assert!(built.len() > 20, "{built:?}");
    for crate_ in &built {
        let Crate {
            name,
            version,
            licence,
            source,
        } = crate_;
        let unsafe_words = count(source)?.to_string();
        let row = rows.remove(name.as_str()).unwrap_or_default();
        let [in_version, _kept_by, under, says_unsafe, purpose] = row[..] else {
            panic!("no row: | `{name}` | {version} | | {licence} | {unsafe_words} | |");
        };
        assert_eq!(
            [in_version, under, says_unsafe],
            [version, licence, &unsafe_words],
            "{name}"
        );
        assert!(!purpose.is_empty(), "{name}");
    }
    assert!(rows.is_empty(), "not built: {:?}", rows.keys());
    Ok(())
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    licence: String,
    source: PathBuf,
}

/// What cargo would build on Linux with the default features, this crate aside.
fn built() -> Vec<Crate> {
    let tree = cargo(&[
        "tree",
        "--edges=normal",
        "--prefix=none",
        "--target=x86_64-unknown-linux-gnu",
        "--format={p}\t{l}",
    ]);
    let metadata: serde_json::Value = serde_json::from_str(&cargo(&[
        "metadata",
        "--format-version=1",
        "--all-features",
    ]))
    .unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let source = |name: &str, version: &str| {
        let is_it = |package: &&serde_json::Value| {
            package["name"] == *name && package["version"] == *version
        };
        let package = packages.iter().find(is_it).unwrap();
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        manifest.parent().unwrap().to_owned()
    };
    let crates = tree.lines().filter_map(|line| {
        let (package, licence) = line.split_once('\t')?;
        let mut words = package.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        (name != "cas-proxy").then(|| Crate {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.trim_end_matches(" (*)").replace(" / ", " OR "),
            source: source(name, version),
        })
    });
    let mut crates: Vec<_> = crates.collect();
    crates.sort();
    crates.dedup();
    crates
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .args(["--offline", "--locked"])
        .output()
        .unwrap();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{failed}");
    String::from_utf8(output.stdout).unwrap()
}

/// How often the word `unsafe` stands in the sources of a crate.
fn count(crate_: &Path) -> io::Result<usize> {
    let source = crate_.join("src");
    let mut folders = vec![if source.is_dir() {
        source
    } else {
        crate_.to_owned()
    }];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(path)?;
                let words = text.split(|c: char| c != '_' && !c.is_alphanumeric());
                found += words.filter(|word| *word == "unsafe").count();
            }
        }
    }
    Ok(found)
}
