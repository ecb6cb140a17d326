//! What is printed: a table, what the operator reads, and what Seattle and Dallas said to each other.

use std::fmt::Write as _;

use cas_proxy::wire::names::is_identity_name;
use http::HeaderValue;

use super::{recorder::Exchange, script::Visit};

/// All of it. What is not as it has to be stands at the end.
pub(crate) fn write(visits: &[Visit]) -> String {
    let mut out = String::new();
    table(&mut out, visits);

    out += "\nWhat the operator reads of those refused:\n";
    for visit in visits {
        if let Some(failure) = visit.failure() {
            line(&mut out, format_args!("  {}: {failure}", visit.ask.user));
        }
    }

    let berts = visits.iter().filter(|visit| visit.ask.user == "bert");
    for (visit, which) in berts.zip(["first", "second"]) {
        line(
            &mut out,
            format_args!("\nbert's {which} visit, as dallas sees it:"),
        );
        for exchange in visit
            .exchanges
            .iter()
            .filter(|exchange| exchange.server == "dallas")
        {
            dance(&mut out, exchange);
        }
    }

    out += "\n";
    let mut wrong = 0;
    for visit in visits {
        for what in visit.wrong() {
            wrong += 1;
            line(
                &mut out,
                format_args!("WRONG: {} {}: {what}", visit.ask.user, visit.ask.path),
            );
        }
    }
    if wrong == 0 {
        line(
            &mut out,
            format_args!("{} requests, each outcome as it should be", visits.len()),
        );
    }
    out
}

fn table(out: &mut String, visits: &[Visit]) {
    let mut rows =
        vec![["user", "asks for", "mailbox", "decision", "status", "hops"].map(str::to_owned)];
    rows.extend(visits.iter().map(|visit| {
        [
            visit.ask.user.to_owned(),
            visit.ask.path.to_owned(),
            visit.mailbox.clone(),
            visit.decision.clone(),
            visit.status.to_string(),
            visit.hops.clone(),
        ]
    }));
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    for row in &rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        line(
            out,
            format_args!("{}", cells.collect::<Vec<_>>().join("  ").trim_end()),
        );
    }
}

/// One request and its answer: of the headers those by which two CASs speak, and the body of a login.
fn dance(out: &mut String, exchange: &Exchange) {
    let request = &exchange.request;
    line(
        out,
        format_args!(
            "  > {} {} {:?}",
            request.method, request.uri, request.version
        ),
    );
    for (name, value) in &request.headers {
        if is_identity_name(name)
            || ["signature", "signature-input", "content-digest"].contains(&name.as_str())
        {
            line(out, format_args!("  > {name}: {}", shown(value)));
        }
    }
    if !exchange.body.is_empty() {
        line(
            out,
            format_args!("  > {}", String::from_utf8_lossy(&exchange.body)),
        );
    }
    line(
        out,
        format_args!("  < {:?} {}", request.version, exchange.status.as_u16()),
    );
}

fn shown(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    match text.char_indices().nth(WIDEST) {
        None => text.into_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

/// Most characters of a header's value that are shown.
const WIDEST: usize = 70;
