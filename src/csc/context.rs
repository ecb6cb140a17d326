//! The client security context: one user, as one CAS tells another.

use super::Sid;
use http::HeaderValue;
use std::fmt;
use std::sync::Arc;

/// A user, the user's groups, and the names the user signed in with.
///
/// ```
/// use cas_proxy::csc::{ClientSecurityContext, GroupAttributes};
///
/// let context = ClientSecurityContext::builder("S-1-5-21-1-2-3-1105".parse()?, "Negotiate", r"CONTOSO\anna")
///     .group("S-1-1-0".parse()?, GroupAttributes::ENABLED_GROUP)
///     .group("S-1-5-32-544".parse()?, GroupAttributes::USE_FOR_DENY_ONLY)
///     .build()?;
/// assert_eq!(context.sid_count(), 3);
/// assert_eq!(context.user_header(), "S-1-5-21-1-2-3-1105");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Clones share one allocation. Equality compares all of it, order of groups included. `Debug` shows neither the logon
/// name nor any SID in full.
///
/// A context may hold any number of groups; how many fit into a login is the business of
/// [`xml::write`](super::xml::write).
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecurityContext(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    user: Sid,
    user_header: HeaderValue,
    authentication_type: Box<str>,
    logon_name: Box<str>,
    groups: Box<[Group]>,
    restricted: Box<[Group]>,
}

impl ClientSecurityContext {
    /// The longest [authentication type](Self::authentication_type), in bytes of UTF-8.
    pub const MAX_AUTHENTICATION_TYPE: usize = 256;

    /// The longest [logon name](Self::logon_name), in bytes of UTF-8: a user principal name has up to 1,024 characters.
    ///
    /// With both names at their longest, all of it to be escaped, a user of 3,000 domain SIDs still fits into a login.
    pub const MAX_LOGON_NAME: usize = 3 * 1024;

    /// Begins a context with the user, how the user was authenticated (`Kerberos`, `NTLM`, `Basic` …), and the name
    /// the user signed in with (`CONTOSO\anna`).
    pub fn builder(
        user: Sid,
        authentication_type: impl Into<String>,
        logon_name: impl Into<String>,
    ) -> ContextBuilder {
        ContextBuilder {
            user,
            authentication_type: authentication_type.into(),
            logon_name: logon_name.into(),
            groups: Vec::new(),
            restricted: Vec::new(),
        }
    }

    /// Who the user is.
    #[must_use]
    pub fn user(&self) -> &Sid {
        &self.0.user
    }

    /// The user's SID as header text, made once, and marked sensitive so that HTTP/2 never indexes it.
    #[must_use]
    pub fn user_header(&self) -> &HeaderValue {
        &self.0.user_header
    }

    /// How the user was authenticated; text for people and logs, decide nothing by it.
    #[must_use]
    pub fn authentication_type(&self) -> &str {
        &self.0.authentication_type
    }

    /// The name the user signed in with; text for people and logs, the user is the [SID](Self::user).
    #[must_use]
    pub fn logon_name(&self) -> &str {
        &self.0.logon_name
    }

    /// The user's groups.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.0.groups
    }

    /// The SIDs a restricted token is limited to; none for most users.
    #[must_use]
    pub fn restricted(&self) -> &[Group] {
        &self.0.restricted
    }

    /// How many SIDs there are in all, the user's included.
    #[must_use]
    pub fn sid_count(&self) -> usize {
        1 + self.0.groups.len() + self.0.restricted.len()
    }
}

impl fmt::Debug for ClientSecurityContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecurityContext")
            .field("user", &self.0.user)
            .field("groups", &self.0.groups.len())
            .field("restricted", &self.0.restricted.len())
            .finish_non_exhaustive()
    }
}

/// Collects a [`ClientSecurityContext`]; groups keep the order they are given in.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct ContextBuilder {
    pub(super) user: Sid,
    pub(super) authentication_type: String,
    pub(super) logon_name: String,
    pub(super) groups: Vec<Group>,
    pub(super) restricted: Vec<Group>,
}

impl ContextBuilder {
    /// Adds a group.
    pub fn group(mut self, sid: Sid, attributes: GroupAttributes) -> Self {
        self.groups.push(Group { sid, attributes });
        self
    }

    /// Adds groups.
    pub fn groups(mut self, groups: impl IntoIterator<Item = Group>) -> Self {
        self.groups.extend(groups);
        self
    }

    /// Adds a SID that the user's token is restricted to.
    pub fn restricted(mut self, sid: Sid, attributes: GroupAttributes) -> Self {
        self.restricted.push(Group { sid, attributes });
        self
    }

    /// The context.
    ///
    /// # Errors
    /// If the authentication type or the logon name is longer than
    /// [`MAX_AUTHENTICATION_TYPE`](ClientSecurityContext::MAX_AUTHENTICATION_TYPE) or
    /// [`MAX_LOGON_NAME`](ClientSecurityContext::MAX_LOGON_NAME), or holds a control character or U+FFFE or U+FFFF,
    /// which XML cannot carry. The names may be empty.
    pub fn build(self) -> Result<ClientSecurityContext, InvalidContext> {
        check(
            &self.authentication_type,
            "authentication type",
            ClientSecurityContext::MAX_AUTHENTICATION_TYPE,
        )?;
        check(
            &self.logon_name,
            "logon name",
            ClientSecurityContext::MAX_LOGON_NAME,
        )?;
        Ok(ClientSecurityContext(Arc::new(Parts {
            user: self.user,
            user_header: header(&self.user),
            authentication_type: self.authentication_type.into(),
            logon_name: self.logon_name.into(),
            groups: self.groups.into(),
            restricted: self.restricted.into(),
        })))
    }
}

impl fmt::Debug for ContextBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextBuilder")
            .field("user", &self.user)
            .field("groups", &self.groups.len())
            .field("restricted", &self.restricted.len())
            .finish_non_exhaustive()
    }
}

/// A group, or a SID that a token is restricted to, with its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which group.
    pub sid: Sid,
    /// What it means to be in it.
    pub attributes: GroupAttributes,
}

/// What it means that a user is in a group: the attribute word of a Windows token, kept bit by bit as it came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GroupAttributes(u32);

//= src/docs/protocol.md#login-attributes
impl GroupAttributes {
    /// The user cannot be without the group.
    pub const MANDATORY: Self = Self(0x1);
    /// Enabled unless somebody disables it.
    pub const ENABLED_BY_DEFAULT: Self = Self(0x2);
    /// Enabled: it grants and denies.
    pub const ENABLED: Self = Self(0x4);
    /// The user may make it the owner of objects.
    pub const OWNER: Self = Self(0x8);
    /// It denies, and never grants.
    pub const USE_FOR_DENY_ONLY: Self = Self(0x10);
    /// A mandatory integrity level.
    pub const INTEGRITY: Self = Self(0x20);
    /// An integrity level that is enabled.
    pub const INTEGRITY_ENABLED: Self = Self(0x40);
    /// A domain-local group of the resource's domain.
    pub const RESOURCE: Self = Self(0x2000_0000);
    /// A logon session.
    pub const LOGON_ID: Self = Self(0xC000_0000);
    /// What an ordinary group has: mandatory, enabled by default, enabled.
    pub const ENABLED_GROUP: Self = Self(0x7);

    /// The attributes of these bits, known or not.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for GroupAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupAttributes({:#x})", self.0)
    }
}

/// A name is too long for a [`ClientSecurityContext`], or holds a character that may not be in it. Never shows the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidContext {
    name: &'static str,
    limit: Option<usize>,
}

impl fmt::Display for InvalidContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "{} of more than {limit} bytes", self.name),
            None => write!(f, "control or non-XML character in the {}", self.name),
        }
    }
}

impl std::error::Error for InvalidContext {}

fn check(text: &str, name: &'static str, limit: usize) -> Result<(), InvalidContext> {
    if text.len() > limit {
        return Err(InvalidContext {
            name,
            limit: Some(limit),
        });
    }
    //= src/docs/protocol.md#login-limit
    // Surrogates, the rest of what XML 1.0 §2.2 leaves out, are no `char`.
    if text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}'))
    {
        return Err(InvalidContext { name, limit: None });
    }
    Ok(())
}

#[expect(
    clippy::expect_used,
    reason = "a SID's text is digits, hyphens, `S`, `x` and `a` to `f`"
)]
fn header(sid: &Sid) -> HeaderValue {
    let mut header = HeaderValue::try_from(sid.to_string()).expect("a SID's text is visible ASCII");
    header.set_sensitive(true);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(authentication_type: &str, logon_name: &str) -> ContextBuilder {
        let user = Sid::from_parts(5, &[21, 1004336348, 1177238915, 682003330, 1105]).unwrap();
        ClientSecurityContext::builder(user, authentication_type, logon_name)
    }

    #[test]
    fn what_went_in_comes_out() {
        let everyone = Sid::from_parts(1, &[0]).unwrap();
        let code = Sid::from_parts(5, &[12]).unwrap();
        let deny = GroupAttributes::USE_FOR_DENY_ONLY;
        let more = Group {
            sid: code,
            attributes: deny,
        };
        let context = builder("NTLM", "anna")
            .group(everyone, GroupAttributes::ENABLED_GROUP)
            .groups([more, more])
            .restricted(code, GroupAttributes::default())
            .build()
            .unwrap();
        assert_eq!(
            (context.authentication_type(), context.logon_name()),
            ("NTLM", "anna")
        );
        assert_eq!(
            context.user().to_string(),
            "S-1-5-21-1004336348-1177238915-682003330-1105"
        );
        assert_eq!(
            context.groups(),
            [
                Group {
                    sid: everyone,
                    attributes: GroupAttributes::new(7)
                },
                more,
                more
            ]
        );
        assert_eq!(
            context.restricted(),
            [Group {
                sid: code,
                attributes: GroupAttributes::new(0)
            }]
        );
        assert_eq!(context.sid_count(), 5);
    }

    #[test]
    fn header_is_the_sid_and_sensitive() {
        let context = builder("NTLM", "anna").build().unwrap();
        assert_eq!(context.user_header(), &context.user().to_string());
        assert!(context.user_header().is_sensitive());
        let longest = Sid::from_parts((1 << 48) - 1, &[u32::MAX; 15]).unwrap();
        let context = ClientSecurityContext::builder(longest, "", "")
            .build()
            .unwrap();
        assert_eq!(context.user_header(), &longest.to_string());
    }

    #[test]
    //= src/docs/protocol.md#login-limit
    fn names_that_cannot_travel_are_refused() {
        let longest = "é".repeat(ClientSecurityContext::MAX_LOGON_NAME / 2);
        let rows = [
            ("", true),
            (r"CONTOSO\anna", true),
            ("anna@contoso.com", true),
            (r#"<>&"' ]]> &amp; <!--"#, true),
            (
                "Ærøskøbing 日本語 \u{1F600} \u{FFFD} \u{E000} \u{10FFFF}",
                true,
            ),
            (longest.as_str(), true),
            (&format!("{longest}x"), false),
            (&"x".repeat(64 * 1024), false),
            ("anna\0", false),
            ("anna\r\nX-OWA-ProxySid: S-1-5-18", false),
            ("an\tna", false),
            ("\u{1B}[31manna", false),
            ("anna\u{7F}", false),
            ("anna\u{85}", false),
            ("anna\u{FFFE}", false),
            ("anna\u{FFFF}", false),
        ];
        for (name, accepted) in rows {
            assert_eq!(builder("NTLM", name).build().is_ok(), accepted, "{name:?}");
            let short = name.len() <= ClientSecurityContext::MAX_AUTHENTICATION_TYPE;
            assert_eq!(
                builder(name, "anna").build().is_ok(),
                accepted && short,
                "{name:?}"
            );
        }
    }

    #[test]
    //= src/docs/protocol.md#login-attributes
    fn attributes_have_the_bits_of_windows() {
        let union = |of: &[GroupAttributes]| {
            of.iter()
                .fold(0, |bits, attributes| bits | attributes.bits())
        };
        use GroupAttributes as A;
        assert_eq!(
            union(&[A::MANDATORY, A::ENABLED_BY_DEFAULT, A::ENABLED]),
            A::ENABLED_GROUP.bits()
        );
        assert_eq!(union(&[A::ENABLED_GROUP, A::LOGON_ID]), 3221225479);
        assert_eq!(
            union(&[
                A::OWNER,
                A::USE_FOR_DENY_ONLY,
                A::INTEGRITY,
                A::INTEGRITY_ENABLED
            ]),
            0x78
        );
        assert_eq!(A::RESOURCE.bits(), 0x2000_0000);
        assert_eq!(A::new(u32::MAX).bits(), u32::MAX);
    }

    #[test]
    fn nothing_private_is_in_debug_or_errors() {
        let builder = builder("Kerberos", "secret-anna").group(
            Sid::from_parts(5, &[32, 544]).unwrap(),
            GroupAttributes::OWNER,
        );
        let refused = self::builder("Kerberos", "secret-anna\0")
            .build()
            .unwrap_err();
        let context = builder.clone().build().unwrap();
        for text in [
            format!("{builder:?}"),
            format!("{context:?}"),
            format!("{:?}", context.groups()),
            format!("{refused} {refused:?}"),
        ] {
            for private in ["secret", "1004336348", "544"] {
                assert!(!text.contains(private), "{text}");
            }
        }
    }

    #[test]
    fn clones_share_and_equality_sees_everything() {
        let base = || {
            builder("NTLM", "anna").group(
                Sid::from_parts(1, &[0]).unwrap(),
                GroupAttributes::ENABLED_GROUP,
            )
        };
        let context = base().build().unwrap();
        assert!(std::ptr::eq(context.groups(), context.clone().groups()));
        assert_eq!(context, base().build().unwrap());
        let other = base().restricted(
            Sid::from_parts(1, &[0]).unwrap(),
            GroupAttributes::ENABLED_GROUP,
        );
        assert_ne!(context, other.build().unwrap());
        assert_ne!(context, builder("NTLM", "anna").build().unwrap());
    }
}
