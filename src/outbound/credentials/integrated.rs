//! Integrated Windows authentication: the account of this CAS, by Kerberos.

use std::{fmt, sync::Arc, time::Duration};

use http::header::AUTHORIZATION;

use super::{Authentication, Credentials, CredentialsError, LaterProof, Proof, Unauthenticated};
use crate::{
    kerberos::{Lane, TicketError, Tickets},
    wire::negotiate,
};

/// The account of this CAS, shown by Kerberos under the scheme `Negotiate`. Never NTLM.
///
/// ```no_run
/// use cas_proxy::{
///     decision::Here,
///     directory::Topology,
///     first_cas::CasProxyLayer,
///     lookup::InMemory,
///     outbound::credentials::Integrated,
/// };
/// use std::sync::Arc;
///
/// # fn layer(here: Here, topology: Arc<Topology>, mailboxes: InMemory) -> CasProxyLayer {
/// CasProxyLayer::new(here, topology, mailboxes)
///     .credentials(Integrated::new().account("SEATTLE$@FOURTHCOFFEE.COM"))
/// # }
/// ```
///
/// # The environment
/// MIT Kerberos is asked, and set up as any program that uses it: `/etc/krb5.conf` or `KRB5_CONFIG`, the keytab with
/// the account's key in `KRB5_CLIENT_KTNAME`, and where tickets are kept in `KRB5CCNAME`; `MEMORY:cas-proxy` keeps
/// them in the process. Tickets are got and renewed from the keytab, no `kinit` is needed.
///
/// # What is sent
/// A token of its own with every request, with the first one too, so that no request is spent on a 401. The ticket is
/// for `HTTP/<host of the InternalURL>`, as it stands there: DNS is not asked for another name, and the port is left
/// out. Nothing is bound to a connection, which therefore may be shared between users, and may be HTTP/2; a server that
/// authenticates connections takes the same tokens.
///
/// If the second CAS shows in its answer that it has the ticket's key (mutual authentication), that is checked, and an
/// answer that fails is not used. One that shows nothing is taken, since TLS has named the server already, unless
/// [`require_mutual`](Self::require_mutual) is set.
///
/// # When the KDC is slow
/// The library waits for it as long as it likes: half a minute for one that is silent. So it is called on blocking
/// threads: one at a time for each second CAS, and of those that need a new ticket four at a time in all. Whoever has
/// to wait longer than the [time-out](Self::ticket_timeout) gets an error; a failure is not tried again for a second.
///
/// Tickets are renewed when half of their life is over: by the first request that comes then, which does not wait for
/// it, once for all second CASs, in the background. Until they expire, nobody notices a KDC that is away.
///
/// # What is missing
/// - A service whose tickets end before half of the account's own life is over gets a new one when the old has expired;
///   and so does everybody on a server that had no request in the second half.
/// - Channel binding: the token is made before the connection is chosen.
#[derive(Clone)]
pub struct Integrated {
    settings: Settings,
    tickets: Tickets,
}

#[derive(Clone, Debug)]
struct Settings {
    account: Option<Arc<str>>,
    timeout: Duration,
    require_mutual: bool,
}

impl Integrated {
    /// The account that comes first in the client keytab, or whose tickets are in the cache.
    #[must_use]
    pub fn new() -> Self {
        Self {
            settings: Settings {
                account: None,
                timeout: TICKET_TIMEOUT,
                require_mutual: false,
            },
            tickets: Tickets::new(),
        }
    }

    /// The account to show, such as `SEATTLE$@FOURTHCOFFEE.COM`; the client keytab must have its key.
    #[must_use]
    pub fn account(mut self, principal: impl Into<Arc<str>>) -> Self {
        self.settings.account = Some(principal.into());
        self
    }

    /// How long a request may wait for its token, 5 seconds unless said otherwise.
    #[must_use]
    pub fn ticket_timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Takes no answer that doesn't show that the second CAS has the ticket's key.
    #[must_use]
    pub fn require_mutual(mut self) -> Self {
        self.settings.require_mutual = true;
        self
    }
}

impl Credentials for Integrated {
    //= src/docs/protocol.md#hop-kerberos
    fn authenticate(&self, request: &mut Unauthenticated<'_>) -> Authentication {
        let host = request.origin.host();
        if request.origin.is_ip_address() {
            let error = TicketError::ip_address(host);
            return Authentication::Now(Err(CredentialsError::new(error)));
        }
        let lane = self.tickets.lane("HTTP", host);
        Authentication::Later(proof(self.settings.clone(), lane))
    }
}

impl Default for Integrated {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Integrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Integrated").field(&self.settings).finish()
    }
}

fn proof(settings: Settings, lane: Arc<Lane>) -> LaterProof {
    Box::pin(async move {
        let Settings {
            account,
            timeout,
            require_mutual,
        } = settings;
        let (mut handshake, token) = lane
            .token(account, None, timeout)
            .await
            .map_err(CredentialsError::new)?;
        let shown = negotiate::authorization(&token);
        Ok(
            Proof::new(vec![(AUTHORIZATION, shown)]).checking_answer(move |headers| {
                match negotiate::reply(headers) {
                    Ok(Some(reply)) => handshake.finish(&reply),
                    Ok(None) if require_mutual => {
                        Err(TicketError::not_mutual(lane.service(), "it shows nothing"))
                    }
                    Ok(None) => Ok(()),
                    Err(error) => Err(TicketError::not_mutual(lane.service(), error)),
                }
                .map_err(CredentialsError::new)
            }),
        )
    })
}

const TICKET_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;
    use crate::{directory::InternalUrl, kerberos::TicketErrorKind};

    //= src/docs/protocol.md#hop-kerberos
    #[test]
    fn an_ip_address_is_refused_before_anybody_is_asked() {
        for address in ["10.0.0.1", "[fe80::1]"] {
            let url: InternalUrl = format!("https://{address}/owa").parse().unwrap();
            let uri = "https://ignored/".parse().unwrap();
            let answer = Integrated::new().authenticate(&mut Unauthenticated {
                origin: url.origin(),
                method: &Method::GET,
                uri: &uri,
                headers: &mut HeaderMap::new(),
                body: None,
            });
            let Authentication::Now(Err(error)) = answer else {
                panic!("{answer:?}");
            };
            let cause = std::error::Error::source(&error).unwrap();
            let kind = cause.downcast_ref().map(TicketError::kind);
            assert_eq!(kind, Some(TicketErrorKind::IpAddress));
            let text = cause.to_string();
            assert!(text.contains("InternalURL names an IP address"), "{text}");
        }
    }
}
