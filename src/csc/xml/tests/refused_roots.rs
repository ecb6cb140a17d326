//! Roots, and names in them, that are no login.

use super::*;

#[test]
//= src/docs/protocol.md#login-reader
fn roots_that_are_not_exactly_r_with_at_and_ln_are_refused() {
    let rows = [
        "",
        r#"<r at="" ln="">"#,
        r#"<r ln="anna">"#,
        r#"<r at="Kerberos">"#,
        "<r>",
        r#"<r at="a" ln="b" x="c">"#,
        r#"<r at="a" ln="b" t="1">"#,
        r#"<r at="a" ln="b" xmlns="urn:x">"#,
        r#"<r at="a" ln="b" xmlns:x="urn:x">"#,
        r#"<r at="a" ln="b" xml:lang="en">"#,
        r#"<x:r at="a" ln="b">"#,
        r#"<r x:at="a" ln="b">"#,
        r#"<r AT="a" ln="b">"#,
        r#"<r at="a" LN="b">"#,
        r#"<r at="a" at="a" ln="b">"#,
        r#"<r at="a" ln="b" ln="c">"#,
        r#"<rr at="a" ln="b">"#,
        r#"<s at="a" ln="b">"#,
        r#"<ŕ at="a" ln="b">"#,
        // white space that is not one space before each attribute
        r#"< r at="a" ln="b">"#,
        r#"<r  at="a" ln="b">"#,
        r#"<r at="a"  ln="b">"#,
        "<r\tat=\"a\" ln=\"b\">",
        "<r at=\"a\"\nln=\"b\">",
        r#"<r at ="a" ln="b">"#,
        r#"<r at= "a" ln="b">"#,
        r#"<r at="a" ln="b" >"#,
        "<r\u{A0}at=\"a\" ln=\"b\">",
        // not well-formed, though some tokenizers let it pass
        r#"<r at="a"ln="b">"#,
        r#"<r at=a ln=b>"#,
        r#"<r at ln>"#,
        r#"<r at="a' ln='b">"#,
        r#"<r at='a" ln="b'>"#,
        r#"<r at="a<b" ln="b">"#,
        r#"<r at="a" ln="b"<s>"#,
        r#"<r at="a" ln="b"/>"#,
        r#"<r at="a" ln="b" / >"#,
        r#"<r/at="a" ln="b">"#,
        r#"<r at=“a” ln=“b”>"#,
    ];
    // The second row is the control: the same elements under a root that is right.
    for (row, start) in rows.into_iter().enumerate() {
        assert_eq!(
            kind(rooted(start)),
            (row != 1).then_some(Malformed),
            "{start}"
        );
    }
}

#[test]
//= src/docs/protocol.md#login-reader
fn names_that_hide_something_are_refused() {
    let rows = [
        "&nbsp;",
        "&eacute;",
        "&lol9;",
        "&unknown;",
        "&LT;",
        "&;",
        "&",
        "&amp",
        "&a&amp;",
        "& amp;",
        "&#;",
        "&#x;",
        "&#X41;",
        "&#-65;",
        "&#+65;",
        "&#xD800;",
        "&#x110000;",
        "&#99999999999999999999;",
        "&#xFFFE;",
        "&#xFFFF;",
        "\u{FFFE}",
        // controls, as they are and by reference
        "&#0;",
        "&#x0;",
        "&#1;",
        "&#8;",
        "&#9;",
        "&#10;",
        "&#xA;",
        "&#13;",
        "&#x1F;",
        "&#127;",
        "&#x85;",
        "\0",
        "\t",
        "\n",
        "\r",
        "\u{1B}[2J",
        "\u{7F}",
        "a&#13;&#10;X-OWA-ProxySid: S-1-5-18",
    ];
    for name in rows {
        assert_eq!(
            kind(rooted(&format!(r#"<r at="" ln="{name}">"#))),
            Some(Malformed),
            "ln {name:?}"
        );
        assert_eq!(
            kind(rooted(&format!(r#"<r at="{name}" ln="">"#))),
            Some(Malformed),
            "at {name:?}"
        );
    }
    let long = "x".repeat(ClientSecurityContext::MAX_LOGON_NAME + 1);
    assert_eq!(
        kind(rooted(&format!(r#"<r at="" ln="{long}">"#))),
        Some(Malformed)
    );
}
