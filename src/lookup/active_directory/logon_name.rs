use std::fmt;

/// A user whom something in front of us has signed in, and of whom it tells but the name.
///
/// ```
/// use cas_proxy::lookup::active_directory::AuthenticatedName;
///
/// let anna = AuthenticatedName::new("Negotiate", "anna@contoso.com")?;
/// let bert = AuthenticatedName::new("NTLM", r"CONTOSO\bert")?;
/// assert!(AuthenticatedName::new("Basic", "clara").is_err(), "of which domain?");
/// # Ok::<(), cas_proxy::lookup::active_directory::InvalidLogonName>(())
/// ```
///
/// `user@domain` is a user principal name or, if no user has it, the account of that name in the domain, as Kerberos
/// has it. `DOMAIN\user` is the account of that name in the domain, by its short or its DNS name.
///
/// Making one is to say that the user has been authenticated.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthenticatedName {
    pub(super) authentication_type: Box<str>,
    pub(super) name: Box<str>,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Principal,
    Account,
}

/// The parts of a name.
pub(super) enum Parts<'n> {
    Principal { user: &'n str, domain: &'n str },
    Account { user: &'n str, domain: &'n str },
}

impl AuthenticatedName {
    /// How the user was authenticated, as the second CAS shall read it (`Negotiate`, `NTLM`, `Basic`), and the name.
    ///
    /// # Errors
    /// If the name is neither `user@domain` nor `DOMAIN\user`, is longer than 1,024 bytes, or has a control character in it.
    pub fn new(
        authentication_type: impl Into<String>,
        name: impl Into<String>,
    ) -> Result<Self, InvalidLogonName> {
        let name = name.into();
        let split = match name.split_once('\\') {
            Some((domain, user)) => Some((Form::Account, domain, user)),
            None => name
                .rsplit_once('@')
                .map(|(user, domain)| (Form::Principal, domain, user)),
        };
        match split {
            Some((form, domain, user))
                if !domain.is_empty()
                    && !user.is_empty()
                    && !user.contains('\\')
                    && name.len() <= MAX_BYTES
                    && !name.contains(char::is_control) =>
            {
                Ok(Self {
                    authentication_type: authentication_type.into().into(),
                    form,
                    name: name.into(),
                })
            }
            _ => Err(InvalidLogonName(())),
        }
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        let name = &*self.name;
        match self.form {
            Form::Principal => {
                let (user, domain) = name.rsplit_once('@').unwrap_or((name, ""));
                Parts::Principal { user, domain }
            }
            Form::Account => {
                let (domain, user) = name.split_once('\\').unwrap_or(("", name));
                Parts::Account { user, domain }
            }
        }
    }
}

impl fmt::Debug for AuthenticatedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticatedName").finish_non_exhaustive()
    }
}

/// The text is neither `user@domain` nor `DOMAIN\user`. Never shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLogonName(());

impl fmt::Display for InvalidLogonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r"logon name is neither user@domain nor DOMAIN\user")
    }
}

impl std::error::Error for InvalidLogonName {}

const MAX_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_domain() {
        for (name, expected) in [
            ("anna@contoso.com", Some("principal anna contoso.com")),
            ("a@b@contoso.com", Some("principal a@b contoso.com")),
            (r"CONTOSO\anna", Some("account anna CONTOSO")),
            (r"contoso.com\a@b", Some("account a@b contoso.com")),
            ("anna", None),
            ("", None),
            ("@contoso.com", None),
            ("anna@", None),
            (r"\anna", None),
            (r"CONTOSO\", None),
            (r"A\B\anna", None),
            ("anna\0@contoso.com", None),
            ("anna@contoso.com\r\n", None),
        ] {
            let read = AuthenticatedName::new("Basic", name).ok();
            let shown = read.as_ref().map(|name| match name.parts() {
                Parts::Principal { user, domain } => format!("principal {user} {domain}"),
                Parts::Account { user, domain } => format!("account {user} {domain}"),
            });
            assert_eq!(shown.as_deref(), expected, "{name:?}");
        }
        let long = |length: usize| AuthenticatedName::new("Basic", "a".repeat(length) + "@b");
        assert!(long(1022).is_ok() && long(1023).is_err());
    }

    #[test]
    fn nothing_is_shown_of_a_name() {
        let name = AuthenticatedName::new("Basic", "anna@contoso.com").unwrap();
        assert!(!format!("{name:?}").contains("anna"));
    }
}
