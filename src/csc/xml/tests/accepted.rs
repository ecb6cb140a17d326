//! What another writer may do, and the reader takes.

use super::*;

#[test]
//= src/docs/protocol.md#login-reader
fn other_spellings_of_the_same_context_are_read() {
    let group = |bits| {
        anna()
            .group(sid("S-1-1-0"), GroupAttributes::new(bits))
            .build()
            .unwrap()
    };
    let rows = [
        (
            "attributes in the other order",
            with(&format!(r#"{USER}<s t="1" a="7">S-1-1-0</s>"#)),
            group(7),
        ),
        (
            "user last",
            with(&format!(r#"<s a="7" t="1">S-1-1-0</s>{USER}"#)),
            group(7),
        ),
        (
            "attribute word 0 in full",
            with(&format!(r#"{USER}<s a="0" t="1">S-1-1-0</s>"#)),
            group(0),
        ),
        (
            "user with a zero attribute word",
            with(r#"<s a="0">S-1-5-21-1-2-3-1105</s>"#),
            anna().build().unwrap(),
        ),
        (
            "every bit",
            with(&format!(r#"{USER}<s a="4294967295" t="1">S-1-1-0</s>"#)),
            group(u32::MAX),
        ),
        (
            "R for r",
            format!(r#"<R at="Kerberos" ln="anna">{USER}</R>"#),
            anna().build().unwrap(),
        ),
        (
            "ln before at",
            rooted(r#"<r ln="anna" at="Kerberos">"#),
            anna().build().unwrap(),
        ),
        (
            "single quotes",
            format!("<r at='Kerberos' ln='anna'>{USER}<s a='7' t=\"1\">S-1-1-0</s></r>"),
            group(7),
        ),
        (
            "character references",
            rooted(r#"<r at="Kerber&#111;s" ln="&#x61;nn&#x0061;">"#),
            anna().build().unwrap(),
        ),
    ];
    for (name, body, context) in rows {
        assert_eq!(read(body.as_bytes()), Ok(context), "{name}");
    }
}

#[test]
fn names_are_unescaped_once() {
    let rows = [
        ("&lt;&gt;&amp;&quot;&apos;", "<>&\"'"),
        ("&amp;lt;", "&lt;"),
        ("&#38;#60;", "&#60;"),
        ("a>b]]>'c", "a>b]]>'c"),
        ("&#x1F600;\u{1F600}", "\u{1F600}\u{1F600}"),
        ("&#000065;", "A"),
        (";", ";"),
    ];
    for (escaped, name) in rows {
        let context = read(rooted(&format!(r#"<r at="" ln="{escaped}">"#)).as_bytes()).unwrap();
        assert_eq!(context.logon_name(), name);
    }
}
