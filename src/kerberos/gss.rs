//! The calls of the Kerberos library. Each may block for as long as a KDC is silent.

use std::fmt;

use libgssapi::{
    context::{ClientCtx, CtxFlags, SecurityContext},
    credential::{Cred, CredUsage},
    error::Error,
    name::Name,
    oid::{GSS_MECH_KRB5, GSS_NT_KRB5_PRINCIPAL, OidSet},
};

use super::TicketError;

/// The account of this machine: of the client keytab, or whose tickets are in the cache.
pub(super) fn acquire(account: Option<&str>) -> Result<Cred, Error> {
    let name = match account {
        Some(name) => Some(Name::new(name.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL))?),
        None => None,
    };
    let kerberos = OidSet::singleton(GSS_MECH_KRB5)?;
    Cred::acquire(name.as_ref(), None, CredUsage::Initiate, Some(&kerberos))
}

/// A token for `service`, whose ticket is asked for unless it is in the cache.
pub(super) fn token(
    tickets: Cred,
    service: &str,
    binding: Option<&[u8]>,
) -> Result<(Handshake, Vec<u8>), TicketError> {
    let failed = |error: Error| TicketError::from_library(service, error);
    let mut context = context(tickets, service, CtxFlags::GSS_C_MUTUAL_FLAG).map_err(failed)?;
    let token = context.step(None, binding).map_err(failed)?;
    let token = token.ok_or_else(|| TicketError::no_token(service))?;
    let handshake = Handshake {
        context,
        service: service.into(),
    };
    Ok((handshake, token.to_vec()))
}

/// Sees to it that the ticket for `service` is in the cache.
pub(super) fn ask(tickets: &Cred, service: &str) -> Result<(), Error> {
    context(tickets.clone(), service, CtxFlags::empty())?
        .step(None, None)
        .map(|_| ())
}

/// Kerberos itself and not the library's SPNEGO, which would offer NTLM where a plug-in for it is installed.
fn context(tickets: Cred, service: &str, flags: CtxFlags) -> Result<ClientCtx, Error> {
    let target = Name::new(service.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL))?;
    Ok(ClientCtx::new(
        Some(tickets),
        target,
        flags,
        Some(GSS_MECH_KRB5),
    ))
}

/// A token sent, waiting for the server's own.
pub(crate) struct Handshake {
    context: ClientCtx,
    service: Box<str>,
}

impl Handshake {
    /// Checks the server's token; asks nobody.
    pub(crate) fn finish(&mut self, reply: &[u8]) -> Result<(), TicketError> {
        match self.context.step(Some(reply), None) {
            Ok(None) if self.context.is_complete() => Ok(()),
            Ok(_) => Err(TicketError::not_mutual(
                &self.service,
                "it wants another round",
            )),
            Err(error) => Err(TicketError::not_mutual(&self.service, error)),
        }
    }

    /// Answers the offer of security layers that SASL ends with: none of them, for within TLS none is needed. Asks
    /// nobody. [`finish`](Self::finish) comes before it.
    ///
    /// RFC 4752, 3.1: a bit mask of layers and the size of a message, and in the answer no name to act for.
    #[cfg(feature = "active-directory")]
    pub(crate) fn decline_layers(&mut self, offer: &[u8]) -> Result<Vec<u8>, TicketError> {
        let failed = |error: Error| TicketError::from_library(&self.service, error);
        let offer = self.context.unwrap(offer).map_err(failed)?;
        match *offer {
            [layers, _, _, _] if layers & NO_LAYER != 0 => {
                let answer = self.context.wrap(false, &[NO_LAYER, 0, 0, 0]);
                Ok(answer.map_err(failed)?.to_vec())
            }
            _ => Err(TicketError::layer_demanded(&self.service)),
        }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake(..)")
    }
}

#[cfg(feature = "active-directory")]
const NO_LAYER: u8 = 1;
