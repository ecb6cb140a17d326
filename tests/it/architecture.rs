//! Arrows only point down: what a file imports stands on a lower floor, or in its own folder.

use std::io;

use crate::sources::{Source, rust_files};

#[test]
fn every_import_points_down() -> io::Result<()> {
    let sources = rust_files("src")?;
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"));
    let offences: Vec<String> = sources.iter().flat_map(offences).collect();
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    Ok(())
}

#[test]
fn an_arrow_that_points_up_or_sideways_is_found() {
    let rows = "
        lib.rs          | pub use crate::first_cas::CasProxyLayer;       |
        wire/a.rs       | use crate::csc::Sid; use crate::wire::x;       |
        wire/a.rs       | use crate::directory::{Mailbox, Origin};       |
        wire/a.rs       | // crate::lookup knows, tokio too              |
        wire/a.rs       | use crate::decision::decide;                   | decision
        wire/a.rs       | fn f(x: crate :: pages::P) {}                  | pages
        csc/mod.rs      | use crate::{ directory::{A, b::C}, csc, wire}; | directory wire
        csc/mod.rs      | use crate::{Sid, *};                           | Sid *
        csc/mod.rs      | use crate as roof;                             | crate_as
        csc/mod.rs      | fn f() { super::super::wire::g() }             | wire
        csc/mod.rs      | use super::super::{csc, wire};                 | wire
        pages/mod.rs    | use crate::telemetry::Outcome;                 | telemetry
        telemetry.rs    | use crate::pages::Page;                        | pages
        lookup/mod.rs   | use crate::kerberos::Tickets;                  |
        kerberos/a.rs   | use crate::lookup::Answer;                     | lookup
        kerberos/a.rs   | use crate::clock::later;                       |
        wire/a.rs       | use crate::clock::later;                       | clock
        second_cas/a.rs | use crate::{wire::names, telemetry};           |
        second_cas/a.rs | use crate::outbound::Client;                   | outbound
        first_cas/a.rs  | use crate::{lookup, second_cas};               | second_cas
        outbound/a.rs   | async fn f() { tokio::x().await }              |
        decision/a.rs   | async fn f() { tokio::x().await }              | async tokio await
        decision/a.rs   | let tracings = Instant::now();                 | ::now
        helpers/mod.rs  | fn f() {}                                      | floor";
    for row in rows.lines().skip(1) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [path, text, expected] = cells[..] else {
            panic!("no row: {row}");
        };
        let (path, text) = (format!("src/{path}"), text.to_owned());
        let found = offences(&Source { path, text });
        let found = found.iter().filter_map(|line| line.split('`').nth(3));
        assert!(found.eq(expected.split_whitespace()), "{row}");
    }
}

/// What is wrong with the imports of one file, a line each.
fn offences(source: &Source) -> Vec<String> {
    let path = &source.path;
    let own = path.trim_start_matches("src/").trim_end_matches(".rs");
    let own = own.split('/').next().unwrap_or(own);
    if own == ROOF {
        return Vec::new();
    }
    let Some(own_floor) = floor(own) else {
        return vec![format!("{path}: `{own}` has no `floor`")];
    };
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code: String = source
        .text
        .lines()
        .filter(is_code)
        .flat_map(|line| [line, "\n"])
        .collect();
    let wrong = |target: &String| {
        *target != own
            && (floor(target).is_none_or(|floor| floor >= own_floor)
                || FORBIDDEN.contains(&(own, target)))
    };
    let mut found: Vec<String> = targets(&code).into_iter().filter(wrong).collect();
    if own_floor <= HIGHEST_PURE_FLOOR {
        let words = code.split(|sign: char| !sign.is_alphanumeric() && sign != '_');
        found.extend(
            words
                .filter(|word| IMPURE.contains(word))
                .map(str::to_owned),
        );
        found.extend(code.contains("::now(").then(|| "::now".to_owned()));
    }
    let say = |target| format!("{path}: `{own}` must not use `{target}`");
    found.into_iter().map(say).collect()
}

/// The first name of each path from the crate's root, in groups too; and the floors reached by `super`.
fn targets(code: &str) -> Vec<String> {
    let packed: String = code.split_whitespace().collect();
    let from_the_root = packed.split("crate::").skip(1).flat_map(heads);
    let is_floor = |name: &String| floor(name).is_some();
    let by_super = packed.split("super::").skip(1).flat_map(heads);
    let mut found: Vec<String> = from_the_root.chain(by_super.filter(is_floor)).collect();
    found.extend(packed.contains("usecrateas").then(|| "crate_as".to_owned()));
    found
}

/// The first name of a path without white space; if it begins with a group, the first name of each in it.
fn heads(path: &str) -> Vec<String> {
    let group = path.starts_with('{');
    let (mut depth, mut text) = (0, String::new());
    for sign in path.chars() {
        match sign {
            '{' if group => depth += 1,
            '}' if depth > 1 => depth -= 1,
            ',' if depth == 1 => text.push(','),
            _ if depth > 1 => {}
            _ if sign.is_alphanumeric() || "_:*".contains(sign) => text.push(sign),
            _ => break,
        }
    }
    let names = text.split(',').filter_map(|name| name.split(':').next());
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn floor(name: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|&(_, floor)| floor)
}

const ROOF: &str = "lib";

const FLOORS: &[(&str, u8)] = &[
    ("csc", 0),
    ("directory", 1),
    ("decision", 2),
    ("wire", 2),
    ("clock", 3),
    ("kerberos", 4),
    ("lookup", 5),
    ("outbound", 5),
    ("pages", 5),
    ("telemetry", 5),
    ("first_cas", 6),
    ("second_cas", 6),
];

/// Arrows that point down and are still wrong: a second CAS decides nothing, asks nobody and sends nothing on.
const FORBIDDEN: &[(&str, &str)] = &[
    ("second_cas", "decision"),
    ("second_cas", "lookup"),
    ("second_cas", "outbound"),
];

const HIGHEST_PURE_FLOOR: u8 = 2;

/// What pure code has no use for, apart from a look at the clock.
const IMPURE: &[&str] = &["async", "await", "tokio", "tracing"];
