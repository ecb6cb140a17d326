//! What the tests of both directions share, and the tests of both at once.

mod accepted;
mod properties;
mod refused_documents;
mod refused_elements;
mod refused_roots;
mod written;

use super::super::{ClientSecurityContext, ContextBuilder, Group, GroupAttributes, Sid};
use super::*;
use ReadErrorKind::{Malformed, TooLarge, TooManySids as TooMany};

const EXAMPLES: [&str; 2] = [
    concat!(
        r#"<r at="Negotiate" ln="john"><s>S-1-5-21-1004336348-1177238915-682003330-500</s>"#,
        r#"<s a="7" t="1">S-1-1-0</s><s a="7" t="1">S-1-5-2</s><s a="7" t="1">S-1-5-11</s>"#,
        r#"<s a="7" t="1">S-1-5-15</s><s a="3221225479" t="1">S-1-5-5-0-6948923</s></r>"#
    ),
    concat!(
        r#"<r at="Kerberos" ln="CONTOSO\anna"><s>S-1-5-21-1-2-3-1105</s><s a="7" t="1">S-1-5-21-1-2-3-513</s>"#,
        r#"<s a="16" t="1">S-1-5-32-544</s><s a="7" t="2">S-1-5-12</s></r>"#
    ),
];

const USER: &str = "<s>S-1-5-21-1-2-3-1105</s>";

fn sid(text: &str) -> Sid {
    text.parse().unwrap()
}

fn anna() -> ContextBuilder {
    ClientSecurityContext::builder(sid("S-1-5-21-1-2-3-1105"), "Kerberos", "anna")
}

/// A body around these elements.
fn with(elements: &str) -> String {
    format!(r#"<r at="Kerberos" ln="anna">{elements}</r>"#)
}

/// A body with this start tag.
fn rooted(start: &str) -> String {
    format!("{start}{USER}</r>")
}

/// Reads a body as everyone does, and by quick-xml alone: either sees the same, flaws and where they are included.
fn read(body: &[u8]) -> Result<ClientSecurityContext, ReadError> {
    let context = super::read(body);
    let by_quick_xml_alone = reader::read_with(body, |_| None);
    assert_eq!(context, by_quick_xml_alone, "{}", body.escape_ascii());
    context
}

fn kind(body: impl AsRef<[u8]>) -> Option<ReadErrorKind> {
    read(body.as_ref()).err().map(|error| error.kind())
}

#[test]
//= src/docs/protocol.md#login-grammar
fn bodies_seen_on_the_wire_are_read_and_written_byte_for_byte() {
    for body in EXAMPLES {
        assert_eq!(write(&read(body.as_bytes()).unwrap()).unwrap(), body);
    }
    let john = read(EXAMPLES[0].as_bytes()).unwrap();
    assert_eq!(
        (john.authentication_type(), john.logon_name()),
        ("Negotiate", "john")
    );
    assert_eq!(
        john.user(),
        &sid("S-1-5-21-1004336348-1177238915-682003330-500")
    );
    assert_eq!((john.groups().len(), john.restricted().len()), (5, 0));
    assert_eq!(
        john.groups()[4],
        Group {
            sid: sid("S-1-5-5-0-6948923"),
            attributes: GroupAttributes::new(0xC000_0007)
        }
    );

    let anna = read(EXAMPLES[1].as_bytes()).unwrap();
    assert_eq!(anna.logon_name(), r"CONTOSO\anna");
    assert_eq!(
        anna.groups()[1],
        Group {
            sid: sid("S-1-5-32-544"),
            attributes: GroupAttributes::USE_FOR_DENY_ONLY
        }
    );
    assert_eq!(
        anna.restricted(),
        [Group {
            sid: sid("S-1-5-12"),
            attributes: GroupAttributes::ENABLED_GROUP
        }]
    );
}

#[test]
//= src/docs/protocol.md#login-limit
fn the_3001st_sid_is_refused_as_soon_as_it_is_met() {
    let group = Group {
        sid: sid("S-1-1-0"),
        attributes: GroupAttributes::ENABLED_GROUP,
    };
    let of = |groups: usize| anna().groups(vec![group; groups]).build().unwrap();
    for groups in [0, 1, 1023, 2999] {
        let context = of(groups);
        assert_eq!(
            read(&write(&context).unwrap()),
            Ok(context),
            "{groups} groups"
        );
    }
    for groups in [3000, 5000] {
        let refused = write(&of(groups)).unwrap_err();
        assert_eq!(refused.sids(), groups + 1);
        assert_eq!(
            refused.to_string(),
            format!("{} SIDs where a login carries 3000", groups + 1)
        );
    }
    let full = with(&format!("{USER}{}", r#"<s t="1">S-1-1-0</s>"#.repeat(2999)));
    assert_eq!(kind(&full), None);
    for rest in [
        "<s>",
        r#"<s t="2">"#,
        r#"<s t="2">S-1-5-12</s>"#,
        r#"<s t="9" x>"#,
        USER,
    ] {
        assert_eq!(kind(full.replace("</r>", rest)), Some(TooMany), "{rest}");
    }
    assert_eq!(kind(full.replace("</r>", "<s")), Some(Malformed));
}

#[test]
//= src/docs/protocol.md#login-limit
fn a_body_over_256_kib_is_neither_read_nor_written() {
    let padded = |length: usize| {
        let body = with(USER);
        format!("{body}{}", "x".repeat(length - body.len()))
    };
    assert_eq!(kind(padded(MAX_BYTES)), Some(Malformed));
    assert_eq!(kind(padded(MAX_BYTES + 1)), Some(TooLarge));

    let longest = Sid::from_parts((1 << 48) - 1, &[u32::MAX; 15]).unwrap();
    let group = Group {
        sid: longest,
        attributes: GroupAttributes::new(u32::MAX),
    };
    let refused = write(&anna().groups([group; 1500]).build().unwrap()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "1501 SIDs that need more than the 262144 bytes of a login"
    );
}

#[test]
fn the_largest_domain_user_fits() {
    let largest = Sid::from_parts(5, &[21, u32::MAX, u32::MAX, u32::MAX, u32::MAX]).unwrap();
    let group = Group {
        sid: largest,
        attributes: GroupAttributes::new(u32::MAX),
    };
    let (at, ln) = (
        ClientSecurityContext::MAX_AUTHENTICATION_TYPE,
        ClientSecurityContext::MAX_LOGON_NAME,
    );
    let context = ClientSecurityContext::builder(largest, "\"".repeat(at), "\"".repeat(ln))
        .groups(vec![group; MAX_SIDS - 1])
        .build()
        .unwrap();
    assert_eq!(read(&write(&context).unwrap()), Ok(context));
}

#[test]
fn errors_tell_where_and_never_what() {
    let refused = read(with("<s>S-1-5-21-1-2-3-1105x</s>").as_bytes()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "malformed login body: malformed SID before byte 50"
    );
    assert!(!format!("{refused:?}").contains("1105"));
    assert_eq!(
        read(&[b'x'; MAX_BYTES + 1]).unwrap_err().to_string(),
        "login body of more than 262144 bytes"
    );
    let marked = read(format!("\u{FEFF}{}", EXAMPLES[0]).as_bytes()).unwrap_err();
    assert_eq!(
        marked.to_string(),
        "malformed login body: something else than UTF-8 markup before byte 0"
    );
    let many = read(with(&USER.replace("<s>", "<s t=\"1\">").repeat(3001)).as_bytes()).unwrap_err();
    assert_eq!(many.to_string(), "more than 3000 SIDs in the login body");
}
