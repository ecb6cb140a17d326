//! The client's offer to go on with another protocol, and what the second CAS makes of it.

use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE},
};
use http_body::Body;
use hyper::upgrade::OnUpgrade;

use super::{Place, Tunnel, protocols::WEBSOCKET};
use crate::{
    csc::Sid,
    first_cas::{config::Config, failure::Refused, trip::Trip},
    outbound::{BoxError, UpstreamBody},
    wire::hop_by_hop::upgrade_named,
};

/// What a request has to do with upgrades.
#[derive(Default)]
pub(in crate::first_cas) enum Upgrade {
    /// Nothing, as far as is known.
    #[default]
    None,
    /// It is passed on with the client's offer.
    Offered(Offer),
    /// A 101 has come.
    Settled,
}

/// An upgrade that is passed on.
pub(in crate::first_cas) struct Offer {
    protocol: HeaderValue,
    client: OnUpgrade,
    place: Place,
}

impl Upgrade {
    /// Tells the second CAS.
    pub(in crate::first_cas) fn put_on(&self, headers: &mut HeaderMap) {
        if let Self::Offered(offer) = self {
            name_protocol(headers, &offer.protocol);
        }
    }
}

impl<B> Trip<B>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Looks for an upgrade that can be passed on: of a GET without a body, over HTTP/1.1, whose server lets go of
    /// the connection. Every other request goes on without its offer, which RFC 9110 section 7.8 allows.
    ///
    /// # Errors
    /// There is no room for a further tunnel, or none of this user.
    //= src/docs/protocol.md#upgrade-offer
    pub(in crate::first_cas) fn offer_upgrade(
        &mut self,
        config: &Config,
        user: &Sid,
    ) -> Result<(), Refused> {
        let parts = self.parts();
        let is_settled = !matches!(self.upgrade, Upgrade::None);
        if !self.offers_upgrade || is_settled || parts.method != Method::GET || !self.has_no_body()
        {
            return Ok(());
        }
        let Some(protocol) = config.upgrades.offered(parts) else {
            return Ok(());
        };
        let Some(client) = parts.extensions.get::<OnUpgrade>() else {
            return Ok(());
        };
        self.upgrade = Upgrade::Offered(Offer {
            protocol,
            client: client.clone(),
            place: config.state.tunnels.enter(user)?,
        });
        Ok(())
    }

    /// The tunnel that this answer begins, if it is a 101.
    ///
    /// # Errors
    /// It is none that was asked for.
    //= src/docs/protocol.md#upgrade-checked
    pub(in crate::first_cas) fn switched(
        &mut self,
        config: &Config,
        answer: &mut Response<UpstreamBody>,
    ) -> Result<Option<Tunnel>, &'static str> {
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(None);
        }
        match std::mem::replace(&mut self.upgrade, Upgrade::Settled) {
            Upgrade::Offered(offer) => offer.taken_up(config, answer).map(Some),
            Upgrade::None | Upgrade::Settled => {
                Err("it answered 101, and nobody had asked for that")
            }
        }
    }
}

impl Offer {
    fn taken_up(
        self,
        config: &Config,
        answer: &mut Response<UpstreamBody>,
    ) -> Result<Tunnel, &'static str> {
        let named = upgrade_named(answer.version(), answer.headers());
        let asked = self.protocol.as_bytes();
        let Some(protocol) = named.filter(|it| it.as_bytes().eq_ignore_ascii_case(asked)) else {
            return Err("it answered 101, and not for the protocol that was asked for");
        };
        if asked.eq_ignore_ascii_case(WEBSOCKET.as_bytes()) && !has_accept(answer.headers()) {
            return Err("it answered 101, and no digest of the WebSocket key");
        }
        let Some(server) = answer.extensions_mut().remove::<OnUpgrade>() else {
            return Err("it answered 101, and the outbound service does not let go of connections");
        };
        Ok(Tunnel {
            client: self.client,
            server,
            place: self.place,
            idle: config.timeouts.tunnel_idle,
            protocol,
        })
    }
}

/// What an HTTP/1.1 message says that goes on with `protocol`, or offers to.
pub(super) fn name_protocol(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

/// Whether there is one `Sec-WebSocket-Accept`, of the form of a digest. That it is the right one is for the client to
/// check, whose key it answers (RFC 6455 section 4.1).
fn has_accept(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.as_bytes().trim_ascii().len() == ACCEPT_LENGTH,
        _ => false,
    }
}

/// A SHA-1 digest in base64.
const ACCEPT_LENGTH: usize = 28;
