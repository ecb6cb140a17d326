//! What the writer makes of a context.

use super::*;

#[test]
//= src/docs/protocol.md#login-grammar
fn writer_keeps_the_order_and_leaves_out_what_is_zero() {
    let none = GroupAttributes::default();
    let rows = [
        (anna(), USER.to_owned()),
        (
            anna().group(sid("S-1-1-0"), none),
            format!(r#"{USER}<s t="1">S-1-1-0</s>"#),
        ),
        (
            anna().restricted(sid("S-1-1-0"), none),
            format!(r#"{USER}<s t="2">S-1-1-0</s>"#),
        ),
        (
            anna()
                .restricted(sid("S-1-5-12"), GroupAttributes::new(u32::MAX))
                .group(sid("S-1-1-0"), GroupAttributes::new(10)),
            format!(r#"{USER}<s a="10" t="1">S-1-1-0</s><s a="4294967295" t="2">S-1-5-12</s>"#),
        ),
    ];
    for (builder, elements) in rows {
        assert_eq!(write(&builder.build().unwrap()).unwrap(), with(&elements));
    }
}

/// SIDs that share a domain's text with the one before, and such as only seem to.
#[test]
fn sids_of_many_domains_are_written_in_full() {
    let sids = [
        "S-1-5-21-1-2-3-513",
        "S-1-5-21-1-2-3-0",
        "S-1-5-21-1-2-4-513",
        "S-1-5-21-1-2-4-4294967295",
        "S-1-5-21-1-2-4",
        "S-1-5-21-1-2-4-513-513",
        "S-1-6-21-1-2-4-513-513",
        "S-1-1-0",
        "S-1-1-1",
        "S-1-2-0",
        "S-1-0x000100000000-0",
        "S-1-0x000100000001-0",
    ];
    let none = GroupAttributes::default();
    let [in_groups, in_restricted] = sids.split_at(6).into();
    let context = in_groups
        .iter()
        .fold(anna(), |c, text| c.group(sid(text), none));
    let context = in_restricted
        .iter()
        .fold(context, |c, text| c.restricted(sid(text), none));
    let elements: String = in_groups
        .iter()
        .map(|text| format!(r#"<s t="1">{text}</s>"#))
        .chain(
            in_restricted
                .iter()
                .map(|text| format!(r#"<s t="2">{text}</s>"#)),
        )
        .collect();
    let context = context.build().unwrap();
    let body = write(&context).unwrap();
    assert_eq!(body, with(&format!("{USER}{elements}")));
    assert_eq!(read(&body), Ok(context));
}

#[test]
fn names_are_escaped() {
    let rows = [
        (r#"<>&"'"#, "&lt;&gt;&amp;&quot;'"),
        ("]]>", "]]&gt;"),
        ("&amp;", "&amp;amp;"),
        (
            r#""/><s>S-1-5-18</s>"#,
            "&quot;/&gt;&lt;s&gt;S-1-5-18&lt;/s&gt;",
        ),
        ("Jürgen \u{1F600}", "Jürgen \u{1F600}"),
        ("", ""),
    ];
    for (name, escaped) in rows {
        let context = ClientSecurityContext::builder(sid("S-1-5-21-1-2-3-1105"), name, name)
            .build()
            .unwrap();
        let body = write(&context).unwrap();
        assert_eq!(
            body,
            rooted(&format!(r#"<r at="{escaped}" ln="{escaped}">"#))
        );
        assert_eq!(read(&body).unwrap(), context);
    }
}
