//! The calls of the Kerberos library. They read the keytab and the replay cache, and ask no KDC.

use libgssapi::{
    context::{SecurityContext, ServerCtx},
    credential::{Cred, CredUsage},
    error::{Error, MajorFlags},
    name::Name,
    oid::{GSS_MECH_KRB5, GSS_NT_KRB5_PRINCIPAL, OidSet},
};

use super::NotUsable;

/// The key of one service.
pub(super) struct Acceptor(Cred);

/// A token found good.
pub(super) struct Accepted {
    pub(super) client: String,
    /// Whether it is bound to the connection.
    pub(super) bound: bool,
    pub(super) reply: Option<Vec<u8>>,
}

impl Acceptor {
    pub(super) fn new(service: &str) -> Result<Self, NotUsable> {
        let acquire = || {
            let name = Name::new(service.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL))?;
            // No other mechanism, whatever plug-ins there are.
            let kerberos = OidSet::singleton(GSS_MECH_KRB5)?;
            Cred::acquire(Some(&name), None, CredUsage::Accept, Some(&kerberos))
        };
        acquire().map(Self).map_err(|error: Error| {
            NotUsable::new(format_args!(
                "the keytab (KRB5_KTNAME) has no key for {service}: {error}"
            ))
        })
    }

    /// Judges a token; the error is fit for a log, none of it is the caller's words.
    pub(super) fn accept(
        &self,
        token: &[u8],
        binding: Option<&[u8]>,
    ) -> Result<Accepted, &'static str> {
        let mut context = ServerCtx::new(Some(self.0.clone()));
        let reply = context.step(token, binding).map_err(reason)?;
        if !context.is_complete() {
            return Err("the token wants another round");
        }
        let mechanism = context.mechanism().map_err(reason)?;
        if mechanism != GSS_MECH_KRB5 {
            return Err("the token is not Kerberos");
        }
        let client = context.source_name().and_then(|name| name.display_name());
        let client = String::from_utf8(client.map_err(reason)?.to_vec());
        let flags = context.flags().map_err(reason)?;
        Ok(Accepted {
            client: client.map_err(|_| "the account's name is no text")?,
            bound: flags.bits() & CHANNEL_BOUND != 0,
            reply: reply.map(|reply| reply.to_vec()),
        })
    }
}

fn reason(error: Error) -> &'static str {
    if is_routine(error, MajorFlags::GSS_S_BAD_BINDINGS) {
        return "the token is bound to another connection";
    }
    match (error.minor as i32).wrapping_sub(KRB5_ERRORS) {
        31 | 41 => "the ticket is not under this service's key: keytab out of date?",
        32 => "the ticket has expired",
        33 => "the ticket is not valid yet",
        34 => "the token has been seen before",
        35 | 45 | 144 => "the ticket is for another service",
        37 => "the caller's clock and this server's differ too much",
        44 => "the ticket is under a newer key than the keytab has",
        181 => "the keytab has no key that fits the ticket: another service, or out of date?",
        _ if is_routine(error, MajorFlags::GSS_S_DUPLICATE_TOKEN) => {
            "the token has been seen before"
        }
        _ => "the Kerberos library does not accept the token",
    }
}

/// Whether it is this error and no other: some share bits.
fn is_routine(error: Error, wanted: MajorFlags) -> bool {
    error.major.bits() == wanted.bits()
}

/// Where the numbers of Kerberos' own errors begin (RFC 4120, 7.5.9, on MIT's base).
const KRB5_ERRORS: i32 = -1_765_328_384;
/// `GSS_C_CHANNEL_BOUND_FLAG`, of MIT Kerberos 1.19.
const CHANNEL_BOUND: u32 = 2048;
