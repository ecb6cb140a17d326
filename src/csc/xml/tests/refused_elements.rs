//! SIDs that are no login.

use super::*;

#[test]
//= src/docs/protocol.md#login-reader
fn bodies_without_exactly_one_plain_user_are_refused() {
    let rows = [
        ("nobody", with("")),
        ("groups alone", with(r#"<s a="7" t="1">S-1-1-0</s>"#)),
        ("a restricted SID alone", with(r#"<s t="2">S-1-5-12</s>"#)),
        (
            "user with attributes",
            with(r#"<s a="7">S-1-5-21-1-2-3-1105</s>"#),
        ),
        ("the same user twice", with(&USER.repeat(2))),
        ("two users", with(&format!("{USER}<s>S-1-5-18</s>"))),
        (
            "t of 0, as seen on the wire",
            r#"<r at="NTLM" ln="administrator"><s t="0">S-1-5-21-1-2-3-500</s></r>"#.to_owned(),
        ),
    ];
    for (name, body) in rows {
        assert_eq!(kind(body), Some(Malformed), "{name}");
    }
}

#[test]
//= src/docs/protocol.md#login-reader
fn elements_that_are_not_exactly_s_are_refused() {
    let rows = [
        // the user: once, and plain
        "",
        "<s>S-1-5-18</s>",
        r#"<s t="0">S-1-5-18</s>"#,
        r#"<s a="7">S-1-5-18</s>"#,
        USER,
        // names
        "<S>S-1-1-0</S>",
        r#"<S t="1">S-1-1-0</S>"#,
        r#"<x:s t="1">S-1-1-0</x:s>"#,
        r#"<g t="1">S-1-1-0</g>"#,
        r#"<r at="" ln=""></r>"#,
        r#"<s t="1">S-1-1-0</S>"#,
        r#"<s t="1">S-1-1-0</r>"#,
        r#"<s t="1">S-1-1-0</s >"#,
        r#"<s t="1">S-1-1-0</s t="1">"#,
        "<>S-1-1-0</>",
        // attributes
        r#"<s t="0">S-1-1-0</s>"#,
        r#"<s t="3">S-1-1-0</s>"#,
        r#"<s t="">S-1-1-0</s>"#,
        r#"<s t="01">S-1-1-0</s>"#,
        r#"<s t=" 1">S-1-1-0</s>"#,
        r#"<s t="1 ">S-1-1-0</s>"#,
        r#"<s t="&#49;">S-1-1-0</s>"#,
        r#"<s t="１">S-1-1-0</s>"#,
        r#"<s T="1">S-1-1-0</s>"#,
        r#"<s t="1" t="1">S-1-1-0</s>"#,
        r#"<s t="1" T="2">S-1-1-0</s>"#,
        r#"<s t="1" t='2'>S-1-1-0</s>"#,
        r#"<s a="7" a="0" t="1">S-1-1-0</s>"#,
        r#"<s a="7"t="1">S-1-1-0</s>"#,
        r#"<s a="" t="1">S-1-1-0</s>"#,
        r#"<s a="07" t="1">S-1-1-0</s>"#,
        r#"<s a="+7" t="1">S-1-1-0</s>"#,
        r#"<s a="-1" t="1">S-1-1-0</s>"#,
        r#"<s a="0x7" t="1">S-1-1-0</s>"#,
        r#"<s a="7.0" t="1">S-1-1-0</s>"#,
        r#"<s a="4294967296" t="1">S-1-1-0</s>"#,
        r#"<s a=" 7" t="1">S-1-1-0</s>"#,
        r#"<s a="&#55;" t="1">S-1-1-0</s>"#,
        r#"<s a="7" t="1" x="">S-1-1-0</s>"#,
        r#"<s at="" t="1">S-1-1-0</s>"#,
        r#"<s xmlns="" t="1">S-1-1-0</s>"#,
        r#"<s a=7 t=1>S-1-1-0</s>"#,
        r#"<s a="7" t="1" >S-1-1-0</s>"#,
        r#"<s  t="1">S-1-1-0</s>"#,
        // content
        r#"<s t="1"/>"#,
        r#"<s t="1"></s>"#,
        "<s/>",
        "<s></s>",
        r#"<s t="1"> S-1-1-0</s>"#,
        r#"<s t="1">S-1-1-0 </s>"#,
        "<s t=\"1\">\nS-1-1-0\n</s>",
        r#"<s t="1">s-1-1-0</s>"#,
        r#"<s t="1">S-1-1-00</s>"#,
        r#"<s t="1">S-1-1-0,S-1-5-18</s>"#,
        r#"<s t="1">S-1-1-&#48;</s>"#,
        r#"<s t="1">&#83;-1-1-0</s>"#,
        r#"<s t="1">S-1-1-0&amp;</s>"#,
        r#"<s t="1">&sid;</s>"#,
        r#"<s t="1">S-1-1-0&</s>"#,
        r#"<s t="1">S-1-5-<!-- -->18</s>"#,
        r#"<s t="1"><!-- -->S-1-1-0</s>"#,
        r#"<s t="1">S-1-1-0<!-- --></s>"#,
        r#"<s t="1"><![CDATA[S-1-1-0]]></s>"#,
        r#"<s t="1">S-1-5-<![CDATA[18]]></s>"#,
        r#"<s t="1">S-1-1-0<![CDATA[]]></s>"#,
        r#"<s t="1">S-1-1-0<?x?></s>"#,
        r#"<s t="1">S-1-1-0<x/></s>"#,
        r#"<s t="1"><s t="1">S-1-1-0</s></s>"#,
        r#"<s t="1">S-1-1-0<s t="1">S-1-5-18</s></s>"#,
        r#"<s t="1">S-1-1-0"#,
        r#"<s t="1">S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16</s>"#,
        "<s t=\"1\">S-1-1-0\0</s>",
        "<s t=\"1\">S-1-1-0\u{FEFF}</s>",
        // between elements
        " ",
        "\n",
        "\r\n",
        "text",
        "\0",
        "\u{FEFF}",
        "&amp;",
        "&#32;",
        "<!-- -->",
        "<![CDATA[]]>",
        "<?x?>",
        "<!DOCTYPE r>",
        r#"<?xml version="1.0"?>"#,
        "<!ELEMENT r ANY>",
        "<!ENTITY x 'y'>",
        "<",
        ">",
        "</",
        "<!",
        "<!-",
        "<?",
        "</s>",
        "</x>",
        "</r></r>",
        "]]>",
    ];
    for (row, element) in rows.into_iter().enumerate() {
        // The first row is the control.
        assert_eq!(
            kind(with(&format!("{USER}{element}"))),
            (row != 0).then_some(Malformed),
            "{element:?}"
        );
        let first = kind(with(&format!("{element}{USER}")));
        assert_eq!(first, (row != 0).then_some(Malformed), "{element:?} first");
    }
}
