//! The page for people.

use std::fmt::Write as _;

use super::{Audience, Facts};

pub(super) const MEDIA_TYPE: &str = "text/html; charset=utf-8";

/// Nothing loads, nothing runs, nothing submits, nobody frames it; the one style sheet is allowed by its hash.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'sha256-VtqOI/6D5OFlwq1i3Z12SuxYa5AAsf+pDsGeCOavf8o='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn write(facts: &Facts<'_>, audience: &Audience) -> String {
    let mut page = String::with_capacity(3072);
    page.push_str(HEAD);
    escape(&mut page, facts.heading);
    page.push_str(" - Outlook Web Access</title>\n<style>");
    page.push_str(STYLE);
    page.push_str(
        "</style>\n</head>\n<body>\n<main>\n<p class=\"product\">Outlook Web Access</p>\n<h1>",
    );
    escape(&mut page, facts.heading);
    page.push_str("</h1>\n<p>");
    escape(&mut page, &facts.detail);
    page.push_str("</p>\n");
    if let Some(url) = facts.link {
        page.push_str("<p><a href=\"");
        escape(&mut page, url.as_str());
        page.push_str("\">");
        escape(&mut page, url.as_str());
        page.push_str("</a></p>\n");
    }
    page.push_str("</main>\n");
    support(&mut page, facts, audience);
    page.push_str("</body>\n</html>\n");
    page
}

/// The line to read out to support: status, event number, and where in the log this very request is.
fn support(page: &mut String, facts: &Facts<'_>, audience: &Audience) {
    if facts.status.is_success() {
        return;
    }
    page.push_str("<footer>\n<p>For technical support: status ");
    page.push_str(facts.status.as_str());
    // Writing to a String cannot fail.
    if let Some(event) = audience.event {
        let _ = write!(page, ", event {event}");
    }
    if let Some(reference) = audience.reference {
        let _ = write!(page, ", reference <code>{reference:016x}</code>");
    }
    page.push_str("</p>\n</footer>\n");
}

/// Text to HTML, safe in element content and in quoted attributes.
fn escape(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            other => page.push(other),
        }
    }
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n<title>";

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #ffffff; --ground: #eef1f4; --line: #0f5ea8; --link: #0b57a4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --soft: #a3abb5; --paper: #22262b; --ground: #15181b; --line: #5aa7ee; --link: #8cc4ff; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; padding: 12vh 1.25rem 2rem; background: var(--ground); color: var(--ink); font: 1rem/1.6 system-ui, 'Segoe UI', sans-serif; }
main, footer { max-width: 40rem; margin: 0 auto; overflow-wrap: anywhere; }
main { padding: 2rem 2.25rem; background: var(--paper); border-top: .25rem solid var(--line); border-radius: .375rem; }
h1 { margin: .25rem 0 1rem; font-size: 1.625rem; line-height: 1.25; font-weight: 600; overflow-wrap: break-word; }
p { margin: 0 0 1rem; }
main p:last-child { margin-bottom: 0; }
.product { margin: 0; color: var(--soft); font-size: .875rem; }
a { color: var(--link); font-weight: 600; }
footer { padding: 1rem 2.25rem; color: var(--soft); font-size: .875rem; }
code { font-family: ui-monospace, Consolas, monospace; }
@media (max-width: 30rem) { body { padding-top: 1.25rem; } main, footer { padding-left: 1.25rem; padding-right: 1.25rem; } }
";

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_policy_names_this_very_style_sheet() {
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
        assert!(
            POLICY.contains(&format!("style-src 'sha256-{hash}';")),
            "the hash is now {hash}"
        );
    }

    #[test]
    fn text_stays_text() {
        let mut page = String::new();
        escape(&mut page, "<b a=\"1\" b='2'>&amp;");
        assert_eq!(page, "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;amp;");
    }
}
