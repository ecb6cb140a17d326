//! One entry of the directory, as bytes that mean something only when asked for.

use ldap3::asn1::StructureTag;

use crate::csc::Sid;

/// An entry and those of its attributes that were asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) name: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// Reads a search result entry. `None` if it is none, which ldap3's own reader would panic over.
    pub(super) fn read(result: StructureTag) -> Option<Self> {
        let mut parts = result.match_id(4)?.expect_constructed()?.into_iter();
        let name = text(parts.next()?)?;
        let mut attributes = Vec::new();
        for attribute in parts.next()?.expect_constructed()? {
            let mut parts = attribute.expect_constructed()?.into_iter();
            let description = text(parts.next()?)?;
            let values = parts.next()?.expect_constructed()?.into_iter();
            let values = values.map(StructureTag::expect_primitive);
            attributes.push((description, values.collect::<Option<_>>()?));
        }
        Some(Self { name, attributes })
    }

    /// The values that are text.
    pub(super) fn texts(&self, attribute: &str) -> impl Iterator<Item = &str> {
        self.values(attribute)
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// The value of an attribute that has one.
    pub(super) fn text(&self, attribute: &str) -> Option<&str> {
        self.texts(attribute).next()
    }

    /// The number, whose sign the directory makes of the topmost bit.
    pub(super) fn number(&self, attribute: &str) -> Option<u32> {
        let number: i64 = self.text(attribute)?.parse().ok()?;
        u32::try_from(number)
            .or_else(|_| i32::try_from(number).map(|number| number as u32))
            .ok()
    }

    /// The SIDs; `None` if a value is none, or if the directory kept values back.
    pub(super) fn sids(&self, attribute: &str) -> Option<Vec<Sid>> {
        if self.is_cut(attribute) {
            return None;
        }
        self.values(attribute)
            .map(|value| Sid::from_bytes(value).ok())
            .collect()
    }

    /// A directory gives a long list in pieces, and says so in the attribute's name: `member;range=0-1499`.
    fn is_cut(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|(description, _)| {
            let (name, options) = description.split_once(';').unwrap_or((description, ""));
            name.eq_ignore_ascii_case(attribute)
                && options
                    .get(..6)
                    .is_some_and(|option| option.eq_ignore_ascii_case("range="))
        })
    }

    fn values(&self, attribute: &str) -> impl Iterator<Item = &[u8]> {
        self.attributes
            .iter()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(attribute))
            .flat_map(|(_, values)| values.iter().map(Vec::as_slice))
    }
}

fn text(part: StructureTag) -> Option<String> {
    String::from_utf8(part.expect_primitive()?).ok()
}

#[cfg(test)]
impl Entry {
    /// An entry for tests.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            attributes: Vec::new(),
        }
    }

    pub(super) fn with(mut self, attribute: &str, value: impl AsRef<[u8]>) -> Self {
        self.attributes
            .push((attribute.to_owned(), vec![value.as_ref().to_vec()]));
        self
    }
}

#[cfg(test)]
mod tests {
    use ldap3::asn1::{PL, TagClass};

    use super::*;

    fn primitive(bytes: &[u8]) -> StructureTag {
        tag(4, PL::P(bytes.to_vec()))
    }

    fn tag(id: u64, payload: PL) -> StructureTag {
        StructureTag {
            class: TagClass::Universal,
            id,
            payload,
        }
    }

    fn entry(name: &[u8], attribute: Vec<StructureTag>) -> StructureTag {
        let attributes = tag(16, PL::C(vec![tag(16, PL::C(attribute))]));
        tag(4, PL::C(vec![primitive(name), attributes]))
    }

    #[test]
    fn reads_names_and_values() {
        let values = tag(
            17,
            PL::C(vec![
                primitive(b"one"),
                primitive(b"\xff"),
                primitive(b"two"),
            ]),
        );
        let read = Entry::read(entry(b"CN=a", vec![primitive(b"mail"), values])).unwrap();
        assert_eq!(read.name, "CN=a");
        assert_eq!(read.texts("MAIL").collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(read.text("homeMDB"), None);
    }

    #[test]
    fn what_is_no_entry_is_refused_without_panic() {
        for wrong in [
            tag(5, PL::C(vec![])),
            primitive(b"CN=a"),
            tag(4, PL::C(vec![])),
            tag(4, PL::C(vec![primitive(b"CN=a")])),
            entry(b"\xff", vec![]),
            entry(b"CN=a", vec![]),
            entry(b"CN=a", vec![primitive(b"mail")]),
            entry(b"CN=a", vec![primitive(b"mail"), primitive(b"one")]),
            entry(
                b"CN=a",
                vec![
                    primitive(b"mail"),
                    tag(17, PL::C(vec![tag(16, PL::C(vec![]))])),
                ],
            ),
        ] {
            assert!(Entry::read(wrong.clone()).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn numbers_have_32_bits_with_or_without_sign() {
        for (text, number) in [
            ("1912701168", Some(1_912_701_168)),
            ("-2147483648", Some(0x8000_0000)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("-2147483649", None),
            ("", None),
            ("5 ", None),
        ] {
            let entry = Entry::named("CN=a").with("versionNumber", text);
            assert_eq!(entry.number("versionNumber"), number, "{text}");
        }
    }

    #[test]
    fn groups_come_whole_or_not_at_all() {
        let sid: Sid = "S-1-5-32-544".parse().unwrap();
        let entry = Entry::named("CN=a").with("tokenGroups", sid.to_bytes());
        assert_eq!(entry.sids("tokengroups"), Some(vec![sid]));
        assert_eq!(
            entry
                .clone()
                .with("tokenGroups", b"\x01")
                .sids("tokenGroups"),
            None
        );
        let cut = entry.with("tokenGroups;Range=0-1499", sid.to_bytes());
        assert_eq!(cut.sids("tokenGroups"), None);
        assert_eq!(Entry::default().sids("tokenGroups"), Some(vec![]));
    }
}
