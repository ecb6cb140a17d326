//! Callers known by their accounts, by Kerberos under the scheme `Negotiate`.

use std::{fmt, sync::Arc, time::Duration};

use http::request::Parts;

use super::{NotVerified, Verdict, VerifiedCaller, VerifyCaller};
use crate::{csc::Sid, wire::negotiate};

mod acceptor;
mod calls;
mod kerberos_acceptor;
mod limits;
mod members;
mod principal;

pub use self::kerberos_acceptor::{AcceptedTicket, KerberosAcceptor};
pub use self::limits::MembershipLimits;
pub use self::members::{MembershipFuture, MembershipLookup};
use self::{kerberos_acceptor::refused, members::Members, principal::Principal};

/// Verifies callers by Integrated Windows authentication: trusts the accounts that are named, and the members of
/// groups that are named, and no other of the domain. Kerberos alone; NTLM is refused wherever it stands.
///
/// ```no_run
/// use cas_proxy::second_cas::{MachineAccounts, SecondCasLayer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let callers = MachineAccounts::serving("HTTP/dallas.fourthcoffee.com@FOURTHCOFFEE.COM", "DALLAS$@FOURTHCOFFEE.COM")?
///     .trust("SEATTLE$@FOURTHCOFFEE.COM")?;
/// let layer = SecondCasLayer::new(callers);
/// # Ok(())
/// # }
/// ```
///
/// # The environment
/// The key of the service is read from the keytab that `KRB5_KTNAME` names (`/etc/krb5.keytab` if it names none). A
/// token serves once: the library's replay cache sees to that, as long as `KRB5RCACHENAME` does not turn it off.
///
/// # What is refused
/// Every refusal is the same 401 with `WWW-Authenticate: Negotiate`, to those without credentials too. Refused is:
/// another scheme, another mechanism, a ticket for another service, an account that isn't named, this server's own
/// account and its service (a token reflected), a token seen before, and one bound to another connection. A token that
/// can't be judged within [five seconds](Self::ticket_time_limit) is answered 503.
///
/// # What it vouches for
/// The connection on which the token came, as TLS protects it: a token says nothing about the request. Without TLS
/// whoever sees a request may change it.
///
/// A connection's [`ChannelBinding`], if it is among the extensions of the request, is compared with the token's, so
/// that a token can't be passed on over another connection. Clients that send none are taken all the same, unless
/// [`require_channel_binding`](Self::require_channel_binding) is set.
///
/// # Groups
/// The Kerberos library does not show the groups in a ticket. So a [`MembershipLookup`] is asked about an account that
/// isn't named, once its ticket is found good: one question for all requests of an account, and within
/// [limits](Self::membership_limits) on how long it may take and how long the answer is kept.
/// Without an answer the account is refused, whatever was known before. Accounts of other realms are not asked about.
#[derive(Clone)]
pub struct MachineAccounts {
    acceptor: KerberosAcceptor,
    trusted: Vec<Principal>,
    members: Vec<Arc<Members>>,
    limits: MembershipLimits,
}

impl MachineAccounts {
    /// Takes tickets for `service`, on the server whose account is `own_account`; trusts nobody yet. The keytab is
    /// looked at here.
    ///
    /// # Errors
    /// If either is no full name, with its realm; or if the keytab can't be read or has no key for `service`.
    pub fn serving(service: &str, own_account: &str) -> Result<Self, NotUsable> {
        Ok(Self {
            acceptor: KerberosAcceptor::serving(service, own_account)?,
            trusted: Vec::new(),
            members: Vec::new(),
            limits: MembershipLimits::default(),
        })
    }

    /// Trusts one more account, such as `SEATTLE$@FOURTHCOFFEE.COM`, to speak for every user. The account is compared
    /// in any case, as Active Directory does, its realm exactly.
    ///
    /// # Errors
    /// If it is no full name, with its realm; or if it is this server's own.
    pub fn trust(mut self, account: &str) -> Result<Self, NotUsable> {
        let account = Principal::new(account)?;
        if self.acceptor.own.contains(&account) {
            return Err(NotUsable::own_account(account.as_str()));
        }
        self.trusted.push(account);
        Ok(self)
    }

    /// Trusts the members of these groups, too, to speak for every user. Only accounts of the realm of the service.
    ///
    /// # Errors
    /// If a group is one that all accounts or all machines are in, such as Domain Computers, or that belongs to no
    /// domain.
    pub fn trust_members(
        mut self,
        groups: impl IntoIterator<Item = Sid>,
        lookup: impl MembershipLookup,
    ) -> Result<Self, NotUsable> {
        let members = Members::new(groups, lookup, self.limits)?;
        self.members.push(Arc::new(members));
        Ok(self)
    }

    /// How much is asked about the accounts of [groups](Self::trust_members), and how long the answers are kept. All that
    /// is known is forgotten.
    #[must_use]
    pub fn membership_limits(mut self, limits: MembershipLimits) -> Self {
        self.limits = limits;
        for members in &mut self.members {
            *members = Arc::new(members.afresh(limits));
        }
        self
    }

    /// How long it may take to judge a ticket; see [`KerberosAcceptor::time_limit`].
    #[must_use]
    pub fn ticket_time_limit(mut self, span: Duration) -> Self {
        self.acceptor = self.acceptor.time_limit(span);
        self
    }

    /// Takes no token that isn't bound to the connection it comes on. The acceptor has to give every request the
    /// [`ChannelBinding`] of its connection, and first CASs have to send bound tokens, which this crate's own does not.
    #[must_use]
    pub fn require_channel_binding(mut self) -> Self {
        self.acceptor = self.acceptor.require_channel_binding();
        self
    }

    /// The name by which an account is trusted.
    async fn trusted(&self, client: &str) -> Result<Arc<str>, NotVerified> {
        if let Some(named) = self.trusted.iter().find(|account| account.is(client)) {
            return Ok(named.shared());
        }
        let stranger = || refused("the caller's account is not among those trusted");
        let account = Principal::new(client).map_err(|_| stranger())?;
        let [service, _] = &self.acceptor.own;
        for members in &self.members {
            if !account.has_realm_of(service) {
                return Err(refused("the caller's account is of another realm"));
            }
            let is_member = members.include(&account).await.map_err(|error| {
                refused(format!(
                    "the directory could not be asked for the groups of the caller's account: {error}"
                ))
            })?;
            if is_member {
                return Ok(account.in_capitals().shared());
            }
        }
        Err(stranger())
    }
}

impl VerifyCaller for MachineAccounts {
    //= src/docs/protocol.md#login-caller
    fn verify(&self, request: &Parts) -> Verdict {
        let offer = match KerberosAcceptor::offer(&request.headers) {
            Ok(offer) => offer,
            Err(refused) => return Verdict::Now(Err(refused)),
        };
        let (this, binding) = (self.clone(), request.extensions.get().cloned());
        Verdict::Later(Box::pin(async move {
            let (client, proof) = this.acceptor.judge(offer, binding).await?.into_parts();
            let name = this.trusted(&client).await?;
            Ok(VerifiedCaller::vouched_for(name).answered_with(proof))
        }))
    }
}

impl fmt::Debug for MachineAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineAccounts")
            .field("acceptor", &self.acceptor)
            .field("trusted", &self.trusted)
            .field("members", &self.members)
            .finish()
    }
}

/// What a token has to be bound to, if it is bound to anything: the server's certificate on this connection (RFC 5929,
/// `tls-server-end-point`). Whatever accepts connections puts it among the extensions of each request.
#[derive(Clone)]
pub struct ChannelBinding(Arc<[u8]>);

impl ChannelBinding {
    /// From the hash of the certificate in DER that this server shows on the connection. The hash function is that of
    /// the certificate's signature, SHA-256 where that is MD5 or SHA-1.
    #[must_use]
    pub fn tls_server_end_point(certificate_hash: &[u8]) -> Self {
        Self([b"tls-server-end-point:", certificate_hash].concat().into())
    }

    /// From that certificate, in DER. `None` if it is none, or signed in a way for which no binding is defined: by
    /// Ed25519, for one. Work for the start of a program, not for each connection.
    ///
    /// ```no_run
    /// # fn certificate() -> Vec<u8> { Vec::new() }
    /// use cas_proxy::second_cas::ChannelBinding;
    ///
    /// let binding = ChannelBinding::of_certificate(&certificate()).expect("a certificate with a hash");
    /// // And in the accept loop, for each request of a connection with this certificate:
    /// # let mut request = http::Request::new(());
    /// request.extensions_mut().insert(binding.clone());
    /// ```
    #[must_use]
    pub fn of_certificate(certificate: &[u8]) -> Option<Self> {
        negotiate::tls_server_end_point(certificate).map(|binding| Self(binding.into()))
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelBinding(..)")
    }
}

/// Why [`MachineAccounts`] can't be set up so. Worded to fit after "failed to".
#[derive(Debug)]
pub struct NotUsable(String);

impl NotUsable {
    fn new(text: impl fmt::Display) -> Self {
        Self(format!("set up Integrated Windows authentication: {text}"))
    }

    fn own_account(name: &str) -> Self {
        Self::new(format_args!(
            "{name} is this server's own account, and not to be trusted"
        ))
    }
}

impl fmt::Display for NotUsable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotUsable {}
