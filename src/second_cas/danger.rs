//! For laboratories and tests. Nothing here is fit to guard mail.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::{header::AUTHORIZATION, request::Parts};
use sha2::Sha256;

use super::{NotVerified, Verdict, VerifiedCaller, VerifyCaller};

/// A fixed user name and password (HTTP Basic) that every CAS of a lab sends.
///
/// # Why it is dangerous
/// The password goes with each request: whoever sees one can speak for every user, for ever, and on every server that
/// knows it. Nothing ties it to a request, a server or a moment.
///
/// ```
/// use cas_proxy::second_cas::{SecondCasLayer, danger::StaticCredential};
///
/// let layer = SecondCasLayer::new(StaticCredential::basic("cas", "correct horse battery staple"));
/// ```
#[derive(Clone)]
pub struct StaticCredential {
    user: Arc<str>,
    expected: Vec<u8>,
}

impl StaticCredential {
    /// Trusts whoever sends this name and password. The caller is known by the name, which has no colon.
    #[must_use]
    pub fn basic(user: &str, password: &str) -> Self {
        let encoded = STANDARD.encode([user, ":", password].concat());
        Self {
            user: user.into(),
            expected: encoded.into_bytes(),
        }
    }

    /// Compares MACs under the two texts as keys: neither the length nor the content of ours shows in the time taken.
    fn is(&self, sent: &[u8]) -> bool {
        let (Some(ours), Some(theirs)) = (mac(&self.expected), mac(sent)) else {
            return false;
        };
        theirs.verify(&ours.finalize().into_bytes()).is_ok()
    }
}

impl VerifyCaller for StaticCredential {
    fn verify(&self, request: &Parts) -> Verdict {
        let mut lines = request.headers.get_all(AUTHORIZATION).iter();
        let verdict = match (lines.next(), lines.next()) {
            (None, _) => Err(NotVerified::no_credentials()),
            (Some(_), Some(_)) => Err(NotVerified::refused("two authorization lines")),
            (Some(line), None) => match credentials(line.as_bytes()) {
                Some(sent) if self.is(sent) => {
                    Ok(VerifiedCaller::vouched_for(Arc::clone(&self.user)))
                }
                _ => Err(NotVerified::refused("not the static credential")),
            },
        };
        Verdict::Now(verdict)
    }
}

impl fmt::Debug for StaticCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticCredential")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

fn credentials(line: &[u8]) -> Option<&[u8]> {
    let (scheme, sent) = line.split_at_checked(b"Basic ".len())?;
    scheme.eq_ignore_ascii_case(b"Basic ").then_some(sent)
}

fn mac(key: &[u8]) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(key).ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::second_cas::NotVerifiedKind;

    fn check(lines: &[&str], expected: Result<&str, NotVerifiedKind>) {
        let lab = StaticCredential::basic("lab", "s3cret");
        let mut request = Request::get("/");
        for line in lines {
            request = request.header(AUTHORIZATION, *line);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let Verdict::Now(verdict) = lab.verify(&parts) else {
            panic!("waits for nobody")
        };
        assert_eq!(
            verdict
                .as_ref()
                .map(VerifiedCaller::name)
                .map_err(NotVerified::kind),
            expected,
            "{lines:?}"
        );
    }

    #[test]
    fn one_line_with_the_exact_credential_is_accepted() {
        let good = format!("Basic {}", STANDARD.encode("lab:s3cret"));
        check(&[&good], Ok("lab"));
        check(&[&good.replace("Basic", "bASIC")], Ok("lab"));
        check(&[], Err(NotVerifiedKind::NoCredentials));
        let others = [
            "",
            "Basic",
            "Basic ",
            "Bearer x",
            &good[..good.len() - 1],
            &format!("{good} "),
            &good.replace(' ', "  "),
        ];
        for line in others {
            check(&[line], Err(NotVerifiedKind::Refused));
        }
        for credentials in ["lab:s3creT", "lab:", "root:s3cret", "lab:s3cret\0"] {
            check(
                &[&format!("Basic {}", STANDARD.encode(credentials))],
                Err(NotVerifiedKind::Refused),
            );
        }
        check(&[&good, &good], Err(NotVerifiedKind::Refused));
    }

    #[test]
    fn debug_hides_the_password() {
        let text = format!("{:?}", StaticCredential::basic("lab", "s3cret"));
        assert_eq!(text, r#"StaticCredential { user: "lab", .. }"#);
    }
}
