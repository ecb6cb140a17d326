//! Every requirement of `src/docs/protocol.md` is obeyed somewhere and tested somewhere, and says where.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::sources::{Source, file, rust_files};

#[test]
fn every_requirement_is_cited_by_code_and_by_a_test() -> io::Result<()> {
    let mut sources = Vec::new();
    for folder in ["src", "tests", "examples", "benches", "fuzz"] {
        sources.extend(
            rust_files(folder)?
                .into_iter()
                .filter(|source| !source.path.contains("/target/")),
        );
    }
    let findings = findings(&file("src/docs/protocol.md")?, &sources, NOT_CITED);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    Ok(())
}

/// Requirements that no code of this crate obeys, or no test can watch, each with the reason.
const NOT_CITED: &[(&str, &str)] = &[];

#[test]
fn what_is_missing_is_found() {
    let check = |files: &[(&str, &str)], not_cited: &[(&str, &str)], expected: &[&str]| {
        let sources: Vec<Source> = files
            .iter()
            .map(|&(path, text)| Source {
                path: path.to_owned(),
                text: text.to_owned(),
            })
            .collect();
        assert_eq!(
            findings("# P\n### one\ntext\n#### deeper\n", &sources, not_cited),
            expected
        );
    };
    let code = ("src/a.rs", "//= src/docs/protocol.md#one\nfn f() {}\n");
    let test = (
        "tests/it/a.rs",
        "    //= src/docs/protocol.md#one\n    f();\n",
    );
    let module =
        "#[cfg(test)]\nmod tests {\n    //= src/docs/protocol.md#one\n    fn t() {\n}\n}\n";
    let helper = "#[cfg(test)]\nfn t() {\n}\n\n//= src/docs/protocol.md#one\nfn f() {}\n";

    check(&[code, test], &[], &[]);
    check(&[code, ("src/b.rs", module)], &[], &[]);
    check(&[code, ("src/a/tests.rs", test.1)], &[], &[]);
    check(&[("src/b.rs", helper), test], &[], &[]);

    check(
        &[],
        &[],
        &["one: cited by no code", "one: cited by no test"],
    );
    check(&[code], &[], &["one: cited by no test"]);
    check(&[test], &[], &["one: cited by no code"]);
    check(&[("src/b.rs", module)], &[], &["one: cited by no code"]);
    check(
        &[code, ("examples/a.rs", code.1)],
        &[],
        &["one: cited by no test"],
    );

    let two = ("src/b.rs", "//= src/docs/protocol.md#two\nfn f() {}\n");
    check(
        &[code, test, two],
        &[],
        &["src/b.rs:1: no requirement `two`"],
    );
    let spaced = ("fuzz/b.rs", "//=src/docs/protocol.md#one\nfn f() {}\n");
    check(
        &[code, test, spaced],
        &[],
        &["fuzz/b.rs:1: not a citation: //=src/docs/protocol.md#one"],
    );
    let loose = ("src/b.rs", "//= src/docs/protocol.md#one\n\nfn f() {}\n");
    check(
        &[code, test, loose],
        &[],
        &["src/b.rs:1: cites `one` above nothing"],
    );
    let last = (
        "src/b.rs",
        "fn f() {\n    //= src/docs/protocol.md#one\n    //# Why.\n}\n",
    );
    check(
        &[code, test, last],
        &[],
        &["src/b.rs:2: cites `one` above nothing"],
    );

    check(&[], &[("one", "not offered")], &[]);
    check(
        &[test],
        &[("one", "not offered")],
        &["one: listed as not cited, and cited"],
    );
    check(
        &[],
        &[("one", " ")],
        &["one: listed as not cited without a reason"],
    );
    check(
        &[code, test],
        &[("two", "gone")],
        &["two: listed as not cited, and no requirement"],
    );
}

#[test]
fn a_requirement_has_one_heading() {
    assert_eq!(
        findings("### one\n### one\n", &[], &[("one", "why")]),
        ["one: two headings"]
    );
    assert_eq!(
        findings("### One thing\n", &[], &[]),
        ["One thing: not an id"]
    );
    assert_eq!(findings("", &[], &[]), ["no requirement at all"]);
}

/// What is wrong with the citations, a line each.
fn findings(protocol: &str, sources: &[Source], not_cited: &[(&str, &str)]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut cited: BTreeMap<&str, [bool; 2]> = BTreeMap::new();
    for id in protocol
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
    {
        if !id
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        {
            findings.push(format!("{id}: not an id"));
        } else if cited.insert(id, [false; 2]).is_some() {
            findings.push(format!("{id}: two headings"));
        }
    }
    if cited.is_empty() && findings.is_empty() {
        findings.push("no requirement at all".to_owned());
    }

    for source in sources {
        let tests = test_lines(source);
        let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
        for (at, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.starts_with("//="))
        {
            let place = format!("{}:{}", source.path, at + 1);
            let Some(id) = line.strip_prefix(CITATION) else {
                findings.push(format!("{place}: not a citation: {line}"));
                continue;
            };
            let below = lines
                .iter()
                .skip(at)
                .find(|line| !line.starts_with("//=") && !line.starts_with("//#"));
            if below.is_none_or(|line| line.is_empty() || line.starts_with('}')) {
                findings.push(format!("{place}: cites `{id}` above nothing"));
            }
            match cited.get_mut(id) {
                None => findings.push(format!("{place}: no requirement `{id}`")),
                Some([_, by_test]) if tests.contains(&at) => *by_test = true,
                Some([by_code, _]) if source.path.starts_with("src/") => *by_code = true,
                Some(_) => {}
            }
        }
    }

    for (id, [by_code, by_test]) in &cited {
        match not_cited.iter().find(|(listed, _)| listed == id) {
            Some(_) if *by_code || *by_test => {
                findings.push(format!("{id}: listed as not cited, and cited"));
            }
            Some((_, reason)) if reason.trim().is_empty() => {
                findings.push(format!("{id}: listed as not cited without a reason"));
            }
            Some(_) => {}
            None => {
                findings.extend((!by_code).then(|| format!("{id}: cited by no code")));
                findings.extend((!by_test).then(|| format!("{id}: cited by no test")));
            }
        }
    }
    let unknown = not_cited.iter().filter(|(id, _)| !cited.contains_key(id));
    findings
        .extend(unknown.map(|(id, _)| format!("{id}: listed as not cited, and no requirement")));
    findings
}

/// The lines of a file that only tests compile. It trusts rustfmt: an item ends where a `}` stands under its
/// attribute, or at once with a `;`; and the house order: a module of tests is the last thing in a file.
fn test_lines(source: &Source) -> BTreeSet<usize> {
    let lines: Vec<&str> = source.text.lines().collect();
    let path = source.path.as_str();
    if path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/") {
        return (0..lines.len()).collect();
    }
    let mut found = BTreeSet::new();
    for (start, line) in lines.iter().enumerate() {
        let Some((indent, "")) = line.split_once("#[cfg(test)]") else {
            continue;
        };
        let item = || lines.iter().enumerate().skip(start + 1);
        let module = item()
            .find_map(|(_, line)| (!line.starts_with("#[")).then_some(*line))
            .is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'));
        let ends = |line: &str| match line.strip_prefix(indent) {
            Some(line) => line == "}" || line.ends_with(';') && !line.starts_with(' '),
            None => false,
        };
        let end = item().find_map(|(at, line)| (!module && ends(line)).then_some(at));
        found.extend(start..=end.unwrap_or(lines.len()));
    }
    found
}

const CITATION: &str = "//= src/docs/protocol.md#";
