//! Who shows this ticket? Of a user as well as of a CAS.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION, request::Parts};

use super::{
    super::NotVerified, ChannelBinding, NotUsable, acceptor::Acceptor, calls::Calls,
    principal::Principal,
};
use crate::wire::negotiate::{CHALLENGE, NotKerberos, Offer};

/// Takes Kerberos tickets under the scheme `Negotiate`, and says whose they are. That is all: whether the account may
/// do anything is for others to judge. [`MachineAccounts`](super::MachineAccounts) does so for first CASs; a layer that
/// signs users in may use one as well, see the example `negotiate_sign_in`.
///
/// ```no_run
/// use cas_proxy::{second_cas::KerberosAcceptor, wire::negotiate::CHALLENGE};
/// use http::{Request, Response, StatusCode, header::WWW_AUTHENTICATE};
///
/// # async fn sign_in(request: Request<()>) -> Result<Response<String>, Box<dyn std::error::Error>> {
/// let acceptor = KerberosAcceptor::serving("HTTP/mail.contoso.com@CONTOSO.COM", "SEATTLE$@CONTOSO.COM")?;
/// let (parts, body) = request.into_parts();
/// let mut answer = Response::new(String::new());
/// match acceptor.accept(&parts).await {
///     Ok(accepted) => {
///         *answer.body_mut() = format!("hello {}", accepted.account());
///         answer.headers_mut().insert(WWW_AUTHENTICATE, accepted.answer().clone());
///     }
///     Err(_) => {
///         *answer.status_mut() = StatusCode::UNAUTHORIZED;
///         answer.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
///     }
/// }
/// # Ok(answer)
/// # }
/// ```
///
/// Refused is what `MachineAccounts` says of tokens, but for the trust in accounts. Eight tokens are judged at a time,
/// on blocking threads; the others wait. Who is not through after [five seconds](Self::time_limit) is told to come again.
/// Dropping the future gives the token up, which is spent then.
#[derive(Clone)]
pub struct KerberosAcceptor {
    acceptor: Arc<Acceptor>,
    pub(super) own: [Principal; 2],
    require_channel_binding: bool,
    calls: Calls,
}

/// A token found good.
pub struct AcceptedTicket {
    account: String,
    answer: HeaderValue,
}

impl AcceptedTicket {
    /// The full name of the account, with its realm: `anna@CONTOSO.COM`. In the case that the client chose.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// What belongs into `WWW-Authenticate` of the answer, whatever that is: the client knows this server by it.
    #[must_use]
    pub fn answer(&self) -> &HeaderValue {
        &self.answer
    }

    pub(super) fn into_parts(self) -> (String, HeaderValue) {
        (self.account, self.answer)
    }
}

impl fmt::Debug for AcceptedTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcceptedTicket(..)")
    }
}

impl KerberosAcceptor {
    /// Takes tickets for `service`, on the server whose account is `own_account`. The keytab is looked at here.
    ///
    /// # Errors
    /// If either is no full name, with its realm; or if the keytab can't be read or has no key for `service`.
    pub fn serving(service: &str, own_account: &str) -> Result<Self, NotUsable> {
        let service = Principal::new(service)?;
        Ok(Self {
            acceptor: Arc::new(Acceptor::new(service.as_str())?),
            own: [service, Principal::new(own_account)?],
            require_channel_binding: false,
            calls: Calls::new(),
        })
    }

    /// Takes no token that isn't bound to the connection it comes on. Every request has to have the
    /// [`ChannelBinding`] of its connection among its extensions.
    #[must_use]
    pub fn require_channel_binding(mut self) -> Self {
        self.require_channel_binding = true;
        self
    }

    /// How long it may take to judge a token, from waiting for its turn to the library's word: 5 seconds unless said
    /// otherwise. The library looks into a file, the replay cache; a disk that hangs holds it up.
    #[must_use]
    pub fn time_limit(mut self, span: Duration) -> Self {
        self.calls.time_limit = span;
        self
    }

    /// Judges what a request shows.
    ///
    /// # Errors
    /// A challenge if it shows nothing; a refusal if it shows something else than a good ticket. The client should be
    /// told the same either way: 401 with [`CHALLENGE`]. [`Unavailable`](super::super::NotVerifiedKind::Unavailable) if it
    /// could not be judged in time: 503.
    pub async fn accept(&self, request: &Parts) -> Result<AcceptedTicket, NotVerified> {
        let offer = Self::offer(&request.headers)?;
        self.judge(offer, request.extensions.get().cloned()).await
    }

    /// The one token of a request.
    pub(super) fn offer(headers: &HeaderMap) -> Result<Offer, NotVerified> {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        match (lines.next(), lines.next()) {
            (None, _) => Err(NotVerified::challenge(vec![CHALLENGE])),
            (Some(line), None) => Offer::read(line).map_err(|why| refused(why.to_string())),
            (Some(_), Some(_)) => Err(refused(NotKerberos::Malformed.to_string())),
        }
    }

    pub(super) async fn judge(
        &self,
        offer: Offer,
        binding: Option<ChannelBinding>,
    ) -> Result<AcceptedTicket, NotVerified> {
        let this = self.clone();
        let call = move || this.judge_now(&offer, binding.as_ref());
        self.calls.run(call).await
    }

    fn judge_now(
        &self,
        offer: &Offer,
        binding: Option<&ChannelBinding>,
    ) -> Result<AcceptedTicket, NotVerified> {
        let accepted = self
            .acceptor
            .accept(offer.token(), binding.map(ChannelBinding::bytes))
            .map_err(refused)?;
        if self.own.iter().any(|own| own.is(&accepted.client)) {
            return Err(refused("the caller shows this server's own account"));
        }
        if self.require_channel_binding && !(binding.is_some() && accepted.bound) {
            return Err(refused("the token is not bound to its connection"));
        }
        Ok(AcceptedTicket {
            answer: offer.accepted(accepted.reply.as_deref()),
            account: accepted.client,
        })
    }
}

impl fmt::Debug for KerberosAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KerberosAcceptor")
            .field("own", &self.own)
            .field("require_channel_binding", &self.require_channel_binding)
            .field("time_limit", &self.calls.time_limit)
            .finish_non_exhaustive()
    }
}

pub(super) fn refused(why: impl Into<std::borrow::Cow<'static, str>>) -> NotVerified {
    NotVerified::refused(why).with_challenge(CHALLENGE)
}
