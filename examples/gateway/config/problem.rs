//! What is wrong with a configuration, in one line that an editor can jump to.

use std::{fmt, io, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// `gateway.toml:12: server.version: expected an Exchange version such as 8.3.83.6`
#[derive(Debug)]
pub(crate) struct Problem(String);

/// The text of a configuration file, and where it came from: all that it takes to say where a problem is.
pub(crate) struct Source<'s> {
    pub(crate) file: &'s Path,
    pub(crate) text: &'s str,
}

impl Problem {
    /// The configuration file itself cannot be read.
    pub(crate) fn unreadable(file: &Path, error: &io::Error) -> Self {
        Self::new(format_args!(
            "{}: expected a readable TOML file: {error}",
            file.display()
        ))
    }

    fn new(line: fmt::Arguments<'_>) -> Self {
        // One line, whatever a value or the file system brought into it.
        Self(line.to_string().replace(char::is_control, " "))
    }
}

impl Source<'_> {
    /// The TOML, or the shape of what it holds, is wrong.
    pub(crate) fn shape(&self, error: &toml::de::Error) -> Problem {
        let span = error.span().unwrap_or(0..0);
        let (table, _) = DeTable::parse_recoverable(self.text);
        let key = key_at(table.get_ref(), &span).unwrap_or_default();
        self.problem(span.start, &key, &expected(error.message()))
    }

    /// The value at `path` (keys, and numbers for entries of arrays) has the right shape, and is wrong nevertheless.
    pub(crate) fn value(&self, path: &[&str], what: impl fmt::Display) -> Problem {
        let (table, _) = DeTable::parse_recoverable(self.text);
        let key = path
            .iter()
            .fold(String::new(), |key, step| join(&key, step));
        self.problem(offset_of(table.get_ref(), path), &key, &what.to_string())
    }

    fn problem(&self, offset: usize, key: &str, what: &str) -> Problem {
        let line = 1 + self
            .text
            .bytes()
            .take(offset)
            .filter(|byte| *byte == b'\n')
            .count();
        let colon = if key.is_empty() { "" } else { ": " };
        Problem::new(format_args!(
            "{}:{line}: {key}{colon}{what}",
            self.file.display()
        ))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

/// The parser's words, turned to say first what was expected.
fn expected(message: &str) -> String {
    let message = message.trim().replace('\n', ", ");
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("expected the key {field}, which is missing");
    }
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return format!("unknown key {rest}");
    }
    let found = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("unknown variant "));
    match found.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, "a sequence")) => format!("expected a list, found {found}"),
        Some((found, expected)) => format!("expected {expected}, found {found}"),
        None => message,
    }
}

/// The key whose name or value holds the span, innermost first: `user[1].mailbox.site`.
fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name: &str = key.get_ref();
        let inner = within(value, span).map(|inner| join_path(name, &inner));
        inner.or_else(|| holds(&key.span(), span).then(|| name.to_owned()))
    })
}

/// As [`key_at`], below one value; empty for the value itself.
fn within(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    let inner = match value.get_ref() {
        DeValue::Table(table) => key_at(table, span),
        DeValue::Array(array) => array.iter().enumerate().find_map(|(index, entry)| {
            Some(join_path(&format!("[{index}]"), &within(entry, span)?))
        }),
        _ => None,
    };
    inner.or_else(|| holds(&value.span(), span).then(String::new))
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end && !outer.is_empty()
}

fn join_path(outer: &str, inner: &str) -> String {
    let dot = if inner.is_empty() || inner.starts_with('[') {
        ""
    } else {
        "."
    };
    format!("{outer}{dot}{inner}")
}

fn join(key: &str, step: &str) -> String {
    match step.parse::<usize>() {
        Ok(index) => format!("{key}[{index}]"),
        Err(_) if key.is_empty() => step.to_owned(),
        Err(_) => format!("{key}.{step}"),
    }
}

/// Where the last step of the path that exists begins.
fn offset_of(table: &DeTable<'_>, path: &[&str]) -> usize {
    let Some((first, rest)) = path.split_first() else {
        return 0;
    };
    let entry = table.iter().find(|(key, _)| -> bool {
        let name: &str = key.get_ref();
        name == *first
    });
    let Some((key, value)) = entry else { return 0 };
    below(value, rest).unwrap_or(key.span().start)
}

fn below(value: &Spanned<DeValue<'_>>, path: &[&str]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    match value.get_ref() {
        DeValue::Table(table) => Some(offset_of(table, path)).filter(|offset| *offset > 0),
        DeValue::Array(array) => {
            let entry = array.get(first.parse::<usize>().ok()?)?;
            Some(below(entry, rest).unwrap_or(entry.span().start))
        }
        _ => None,
    }
}
