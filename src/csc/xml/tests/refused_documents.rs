//! What stands around a login and makes it none.

use super::*;

#[test]
//= src/docs/protocol.md#login-reader
fn documents_around_it_are_refused() {
    let good = with(USER);
    let utf16 =
        |to_bytes: fn(u16) -> [u8; 2]| good.encode_utf16().flat_map(to_bytes).collect::<Vec<_>>();
    let laughs = concat!(
        r#"<!DOCTYPE r [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>"#,
        r#"<r at="" ln="&c;"><s>S-1-5-21-1-2-3-1105</s></r>"#
    );
    let external = r#"<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r at="" ln="&x;"><s>S-1-5-21-1-2-3-1105</s></r>"#;
    let defaulted =
        r#"<!DOCTYPE r [<!ATTLIST s t CDATA "1">]><r at="" ln=""><s>S-1-5-21-1-2-3-1105</s></r>"#;
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("white space", b" ".to_vec()),
        ("text", b"S-1-5-21-1-2-3-1105".to_vec()),
        ("nothing but </r>", b"</r>".to_vec()),
        ("bare elements", USER.into()),
        ("byte order mark", format!("\u{FEFF}{good}").into()),
        ("UTF-16, little-endian", utf16(u16::to_le_bytes)),
        ("UTF-16, big-endian", utf16(u16::to_be_bytes)),
        (
            "UTF-16 with byte order mark",
            [b"\xFF\xFE".to_vec(), utf16(u16::to_le_bytes)].concat(),
        ),
        ("UTF-7", good.replace('<', "+ADw-").into()),
        (
            "declaration",
            format!(r#"<?xml version="1.0" encoding="utf-8"?>{good}"#).into(),
        ),
        ("processing instruction", format!("<?x?>{good}").into()),
        ("comment", format!("<!-- -->{good}").into()),
        ("document type", format!("<!DOCTYPE r>{good}").into()),
        (
            "document type in lower case",
            format!("<!doctype r>{good}").into(),
        ),
        ("billion laughs", laughs.into()),
        ("external entity", external.into()),
        ("defaulted attribute", defaulted.into()),
        ("white space first", format!("\n{good}").into()),
        ("white space last", format!("{good}\n").into()),
        ("NUL last", format!("{good}\0").into()),
        ("comment last", format!("{good}<!-- -->").into()),
        ("processing instruction last", format!("{good}<?x?>").into()),
        ("text last", format!("{good}x").into()),
        ("& last", format!("{good}&").into()),
        ("< last", format!("{good}<").into()),
        ("end tag last", format!("{good}</r>").into()),
        ("twice", good.repeat(2).into()),
        ("wrapped", format!("<x>{good}</x>").into()),
        ("wrapped in r", with(&good).into()),
        ("cut", good.as_bytes()[..good.len() - 1].to_vec()),
        (
            "cut before </r>",
            good.as_bytes()[..good.len() - 4].to_vec(),
        ),
        (
            "closed by the other case",
            good.replace("</r>", "</R>").into(),
        ),
        ("closed by another", good.replace("</r>", "</s>").into()),
        (
            "white space in the end tag",
            good.replace("</r>", "</r >").into(),
        ),
        ("deep", "<r at=\"\" ln=\"\">".repeat(10_000).into()),
        (
            "deep s",
            format!(r#"<r at="" ln="">{}"#, "<s>".repeat(80_000)).into(),
        ),
        (
            "many attributes",
            format!(
                "<r{}>",
                (0..20_000).map(|n| format!(" a{n}=''")).collect::<String>()
            )
            .into(),
        ),
        ("one long tag", "<".repeat(MAX_BYTES).into()),
        (
            "one long name",
            format!("<{}", "r".repeat(MAX_BYTES - 1)).into(),
        ),
        (
            "many references",
            rooted(&format!(r#"<r at="" ln="{}">"#, "&lt;".repeat(60_000))).into(),
        ),
    ];
    assert_eq!(kind(&good), None);
    for (name, body) in rows {
        assert_eq!(kind(&body), Some(Malformed), "{name}");
    }
}

#[test]
fn bytes_that_are_no_utf_8_are_refused() {
    for bytes in [
        &b"\xFF"[..],
        b"\xC0\xBC",
        b"\xC3",
        b"\xED\xA0\x80",
        b"\xF4\x90\x80\x80",
        b"\xE9",
        b"\x80",
    ] {
        for body in [
            [br#"<r at="" ln=""#, bytes, br#""><s>S-1-5-18</s></r>"#].concat(),
            [bytes, EXAMPLES[0].as_bytes()].concat(),
        ] {
            assert_eq!(kind(body), Some(Malformed), "{bytes:x?}");
        }
        let late = [EXAMPLES[0].as_bytes(), bytes].concat();
        assert_eq!(kind(late), Some(Malformed), "{bytes:x?} last");
    }
}
