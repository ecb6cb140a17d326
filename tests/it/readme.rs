//! What the README says, where a test can tell whether it is so.

use std::io;

use crate::{
    sources::{file, rust_files},
    two_sites,
};

#[test]
fn the_axum_example_is_the_one_that_is_built() -> io::Result<()> {
    let example = file("examples/axum_router.rs")?;
    let (_, code) = example.split_once("\n\n").unwrap();
    assert!(
        file("README.md")?.contains(&format!("```rust,no_run\n{code}```\n")),
        "README.md does not show examples/axum_router.rs"
    );
    Ok(())
}

#[test]
fn every_test_it_names_exists() -> io::Result<()> {
    let readme = file("README.md")?;
    let (_, guaranteed) = readme.split_once("## What is guaranteed").unwrap();
    let (guaranteed, _) = guaranteed.split_once("\n## ").unwrap();
    check_tests(guaranteed)
}

#[test]
fn every_test_behind_a_promise_of_security_exists() -> io::Result<()> {
    let security = file("src/docs/security.md")?;
    let (_, promises) = security.split_once("## What happened elsewhere").unwrap();
    check_tests(promises)
}

/// Each row of the tables names a test, in its last cell, and every test so named is there.
fn check_tests(tables: &str) -> io::Result<()> {
    let mut sources = rust_files("src")?;
    sources.extend(rust_files("tests")?);
    let is_head = |row: &str| row.trim_end().ends_with("| test |") || row.starts_with("|---");
    let mut named = 0;
    for row in tables.lines().filter(|line| line.starts_with('|')) {
        if is_head(row) {
            continue;
        }
        let tests = row.trim_end_matches('|').rsplit(" | ").next().unwrap();
        for name in tests.split('`').skip(1).step_by(2) {
            let test = format!("fn {name}(");
            assert!(
                sources.iter().any(|source| source.text.contains(&test)),
                "no test `{name}`"
            );
            named += 1;
        }
        assert!(tests.contains('`'), "no test is named: {row}");
    }
    assert!(named > 0);
    Ok(())
}

#[test]
fn every_example_it_runs_exists() -> io::Result<()> {
    let examples = rust_files("examples")?;
    let readme = file("README.md")?;
    let named = readme.split("--example ").skip(1);
    let named: Vec<&str> = named
        .filter_map(|text| {
            text.split(|sign: char| sign.is_whitespace() || sign == '`')
                .next()
        })
        .collect();
    assert!(named.contains(&"two_sites"));
    for name in named {
        let paths = [
            format!("examples/{name}.rs"),
            format!("examples/{name}/main.rs"),
        ];
        assert!(
            examples.iter().any(|source| paths.contains(&source.path)),
            "no example `{name}`"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_table_is_what_two_sites_prints() {
    let report = two_sites::report::write(&two_sites::play().await);
    let (table, _) = report.split_once("\n\n").unwrap();
    let readme = file("README.md").unwrap();
    assert!(readme.contains(table), "README.md should show:\n{table}");
}
