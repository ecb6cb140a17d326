//! The same for programs: a problem document by RFC 9457.

use std::fmt::Write as _;

use super::{Audience, Facts};

pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// The type stays `about:blank`, which gives the problem the meaning of its status; `code` tells more, as an
/// extension member. With that type, RFC 9457 wants the status's own phrase as title.
pub(super) fn write(facts: &Facts<'_>, audience: &Audience) -> String {
    let mut document = String::with_capacity(640);
    document.push_str("{\"type\":\"about:blank\",\"title\":");
    text(
        &mut document,
        facts.status.canonical_reason().unwrap_or(facts.heading),
    );
    // Writing to a String cannot fail.
    let _ = write!(document, ",\"status\":{}", facts.status.as_u16());
    member(&mut document, "detail", &facts.detail);
    member(&mut document, "code", facts.code);
    if let Some(url) = facts.link {
        member(&mut document, "external_url", url.as_str());
    }
    if let Some(event) = audience.event {
        let _ = write!(document, ",\"event\":{event}");
    }
    if let Some(reference) = audience.reference {
        let _ = write!(document, ",\"reference\":\"{reference:016x}\"");
    }
    document.push_str("}\n");
    document
}

fn member(document: &mut String, name: &str, value: &str) {
    document.push(',');
    text(document, name);
    document.push(':');
    text(document, value);
}

/// A JSON string. `<`, `>` and `&` leave as escapes, should anything ever take the document for HTML.
fn text(document: &mut String, value: &str) {
    document.push('"');
    for character in value.chars() {
        match character {
            '"' => document.push_str("\\\""),
            '\\' => document.push_str("\\\\"),
            '\0'..='\x1f' | '\x7f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(document, "\\u{:04x}", u32::from(character));
            }
            other => document.push(other),
        }
    }
    document.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_read_back_as_it_was() {
        let everything: String = (0..0x3000)
            .filter_map(char::from_u32)
            .chain(['\u{fffe}', '\u{1f600}'])
            .collect();
        let mut document = String::new();
        text(&mut document, &everything);
        assert_eq!(
            serde_json::from_str::<String>(&document).unwrap(),
            everything
        );
        assert!(!document.contains(['<', '>', '&', '\n']));
    }
}
