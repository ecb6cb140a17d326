//! What a client wants to read: HTML, JSON, or whatever there is.

use http::{HeaderMap, header};

/// The outcome of `Accept`, reduced to what the pages can offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Html,
    Json,
    /// Neither is named: `*/*`, nothing, or formats there are none of.
    Anything,
}

/// Reads every `Accept` line. HTML wins a tie: a program that lists both is content with either.
pub(super) fn read(headers: &HeaderMap) -> Wish {
    let mut html = Named::default();
    let mut json = Named::default();
    for line in headers.get_all(header::ACCEPT) {
        for element in line.as_bytes().split(|byte| *byte == b',') {
            let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let Some(range) = parts.next() else { continue };
            let weight = parts.find_map(weight).unwrap_or(FULL);
            match_range(range, weight, &mut html, &mut json);
        }
    }
    match (html.weight(), json.weight()) {
        (0, 0) => Wish::Anything,
        (html, json) if html >= json => Wish::Html,
        _ => Wish::Json,
    }
}

fn match_range(range: &[u8], weight: u16, html: &mut Named, json: &mut Named) {
    let is = |name: &str| range.eq_ignore_ascii_case(name.as_bytes());
    if is("text/html") || is("application/xhtml+xml") {
        html.exact = html.exact.max(Some(weight));
    } else if is("text/*") {
        html.range = weight;
    } else if is("application/problem+json") || is("application/json") {
        json.exact = json.exact.max(Some(weight));
    } else if is("application/*") {
        json.range = weight;
    }
}

/// Weights of one format: by its own name, and by the range it falls in. The name is the more specific, and wins.
#[derive(Default)]
struct Named {
    exact: Option<u16>,
    range: u16,
}

impl Named {
    fn weight(&self) -> u16 {
        self.exact.unwrap_or(self.range)
    }
}

/// `q=0.8` in thousandths; `None` for another parameter. A weight nobody can read counts as "not wanted".
fn weight(parameter: &[u8]) -> Option<u16> {
    let (name, value) = parameter.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let (whole, fraction) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return Some(0),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Some(0);
    }
    let thousandths = fraction
        .iter()
        .zip([100, 10, 1])
        .map(|(digit, place)| u16::from(digit - b'0') * place)
        .sum();
    match (whole, thousandths) {
        (b'0', thousandths) => Some(thousandths),
        (b'1', 0) => Some(FULL),
        _ => Some(0),
    }
}

const FULL: u16 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], expected: Wish) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, line.parse().unwrap());
        }
        assert_eq!(read(&headers), expected, "{lines:?}");
    }

    #[test]
    fn browsers_read_html() {
        check(
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            Wish::Html,
        );
        check(&["TEXT/HTML"], Wish::Html);
        check(&["text/html;level=1;q=0.3"], Wish::Html);
        check(&["text/*"], Wish::Html);
        check(&["image/png", "text/html"], Wish::Html);
        check(&["text/html, application/json"], Wish::Html);
    }

    #[test]
    fn programs_read_json() {
        check(&["application/problem+json"], Wish::Json);
        check(&["application/json, text/html;q=0.9"], Wish::Json);
        check(&["application/*, text/html;q=0.999"], Wish::Json);
        check(&["text/html;q=0, application/json"], Wish::Json);
        check(
            &["text/html;q=0, text/*, application/json;q=0.1"],
            Wish::Json,
        );
    }

    #[test]
    fn others_take_what_there_is() {
        check(&[], Wish::Anything);
        check(&[""], Wish::Anything);
        check(&[",;,"], Wish::Anything);
        check(&["*/*"], Wish::Anything);
        check(&["image/avif,*/*;q=0.8"], Wish::Anything);
        check(&["text/html;q=0"], Wish::Anything);
        check(&["text/html;q=0.000"], Wish::Anything);
        check(&["text/htmlx"], Wish::Anything);
    }

    #[test]
    fn an_unreadable_weight_counts_as_not_wanted() {
        for weight in [
            "q=", "q=2", "q=1.1", "q=0.1234", "q=-1", "q=a", "q=0,5", "q=0.a",
        ] {
            check(&[&format!("text/html;{weight}")], Wish::Anything);
        }
    }
}
