//! What holds for any context and any bytes.

use super::*;
use proptest::prelude::*;

fn any_sid() -> impl Strategy<Value = Sid> {
    // The few of the last row are often of one domain, or nearly.
    let sub_authorities = prop_oneof![
        prop::collection::vec(any::<u32>(), 1..=15),
        prop::collection::vec(0..12_u32, 1..=3),
    ];
    (prop_oneof![Just(5), 0..1_u64 << 48], sub_authorities)
        .prop_map(|(authority, subs)| Sid::from_parts(authority, &subs).unwrap())
}

fn any_groups() -> impl Strategy<Value = Vec<Group>> {
    let bits = prop_oneof![Just(0), Just(7), any::<u32>()];
    let group = (any_sid(), bits).prop_map(|(sid, bits)| Group {
        sid,
        attributes: GroupAttributes::new(bits),
    });
    prop::collection::vec(group, 0..12)
}

fn any_context() -> impl Strategy<Value = ClientSecurityContext> {
    let name = r#"([ -~]|[<>&"';#x]|[^\p{Cc}\u{FFFE}\u{FFFF}]){0,40}"#;
    (any_sid(), name, name, any_groups(), any_groups()).prop_map(
        |(user, at, ln, groups, restricted)| {
            let builder = ClientSecurityContext::builder(user, at, ln).groups(groups);
            restricted
                .iter()
                .fold(builder, |builder, of| {
                    builder.restricted(of.sid, of.attributes)
                })
                .build()
                .unwrap()
        },
    )
}

/// Whatever is read can be written, and is the same when read again.
fn read_is_stable(body: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(context) = read(body) {
        prop_assert_eq!(read(&write(&context).unwrap()), Ok(context));
    }
    Ok(())
}

#[rustfmt::skip]
const TOKENS: &[&str] = &[
    "<r", " at=\"\"", " ln=\"x\"", ">", "<s", "<s>", " a=\"7\"", " t=\"1\"", " t='2'", "S-1-5-18", "</s>", "</r>", "<!--",
    "-->", "<![CDATA[", "]]>", "<!DOCTYPE r", "[", "]", "<?xml", "?>", "&amp;", "&#0;", " ", "/", "\"", "'", "=", "<", "\u{FEFF}",
    "<s a=\"7\" t=\"1\">S-1-5-18", "<s t=\"2\">S-1-5-18</s>", "S-1-5-", "-18",
];

#[rustfmt::skip]
const PARTS: &[&str] = &["1", "2", "3-", "3-", "4-", "0", "-", "4294967295", "4294967296", "5-4", "x", "&#49;"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_as_it_was(context in any_context()) {
        let body = write(&context).unwrap();
        prop_assert_eq!(read(&body), Ok(context));
    }

    #[test]
    fn no_part_of_a_body_is_a_body(context in any_context(), cut in any::<prop::sample::Index>()) {
        let body = write(&context).unwrap();
        prop_assert_eq!(kind(&body[..cut.index(body.len())]), Some(Malformed));
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        read_is_stable(&body)?;
    }

    #[test]
    fn any_mix_of_tokens_is_read_or_refused(tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..24)) {
        let tokens = tokens.concat();
        read_is_stable(tokens.as_bytes())?;
        read_is_stable(with(&format!("{USER}{tokens}")).as_bytes())?;
    }

    #[test]
    fn any_mix_of_parts_of_groups_is_read_or_refused(
        groups in prop::collection::vec(prop::collection::vec(prop::sample::select(PARTS), 0..4), 0..8),
    ) {
        let groups: String = groups.iter().map(|parts| format!(r#"<s t="1">S-1-5-{}</s>"#, parts.concat())).collect();
        read_is_stable(with(&format!("{USER}{groups}")).as_bytes())?;
    }

    #[test]
    fn a_changed_byte_is_read_or_refused(
        context in any_context(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = write(&context).unwrap().to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        read_is_stable(&body)?;
    }
}
