//! Requests to an Exchange 2003 back-end, which knows no proxy login: it wants the user.

use std::fmt;

use http::{HeaderValue, header::AUTHORIZATION, request::Parts};

use crate::{csc::ClientSecurityContext, directory::BackEnd};

/// The user's own credentials for an Exchange 2003 back-end.
///
/// Implemented for closures. [`NoBackEndCredentials`], the default, has none: users of Exchange 2003 read that
/// there is no configured server, and nothing is sent. [`forward_basic`] passes on what the user signed in with.
/// Kerberos constrained delegation is not built.
//= src/docs/protocol.md#back-end-identity
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no credentials for back-ends",
    note = "`forward_basic` is, and so is a closure `|back_end: &BackEnd, user: &ClientSecurityContext, request: &Parts| -> Option<HeaderValue>`"
)]
pub trait BackEndCredentials: Send + Sync + 'static {
    /// The `Authorization` field for `back_end`, if it can be had for this user's request.
    fn authorization(
        &self,
        back_end: &BackEnd,
        user: &ClientSecurityContext,
        request: &Parts,
    ) -> Option<HeaderValue>;
}

impl<F> BackEndCredentials for F
where
    F: Fn(&BackEnd, &ClientSecurityContext, &Parts) -> Option<HeaderValue> + Send + Sync + 'static,
{
    fn authorization(
        &self,
        back_end: &BackEnd,
        user: &ClientSecurityContext,
        request: &Parts,
    ) -> Option<HeaderValue> {
        self(back_end, user, request)
    }
}

/// No user's credentials for any back-end.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBackEndCredentials;

impl BackEndCredentials for NoBackEndCredentials {
    fn authorization(
        &self,
        _back_end: &BackEnd,
        _user: &ClientSecurityContext,
        _request: &Parts,
    ) -> Option<HeaderValue> {
        None
    }
}

/// Passes the user's own HTTP Basic credentials on to the back-end: it learns the user's password.
///
/// ```
/// use cas_proxy::first_cas::forward_basic;
///
/// // For some back-ends only:
/// let credentials = |back_end: &_, user: &_, request: &_| -> Option<http::HeaderValue> {
///     let back_end: &cas_proxy::directory::BackEnd = back_end;
///     (back_end.name().as_str() == "legacy1").then(|| forward_basic(back_end, user, request))?
/// };
/// # let _ = credentials;
/// ```
#[must_use]
pub fn forward_basic(
    _back_end: &BackEnd,
    _user: &ClientSecurityContext,
    request: &Parts,
) -> Option<HeaderValue> {
    let mut lines = request.headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let (scheme, _) = line.as_bytes().split_at_checked(6)?;
    scheme.eq_ignore_ascii_case(b"basic ").then(|| {
        let mut line = line.clone();
        line.set_sensitive(true);
        line
    })
}

impl fmt::Debug for dyn BackEndCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackEndCredentials")
    }
}
