//! Signing in by Kerberos (SASL GSSAPI, RFC 4752), as the account of this machine.
//!
//! ldap3 has such a bind, but calls the blocking library on the thread of whoever waits, and by a copy of its own of
//! the bindings. So connecting and signing in are done here, and then ldap3 speaks LDAP through a pair of sockets.

use std::{io, os::unix, pin::pin, sync::Arc, time::Duration};

use futures_util::future::select;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapResult, StdStream};
use tokio::{
    io::copy_bidirectional,
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, pki_types::ServerName},
};

use crate::{
    kerberos::{TicketError, Tickets},
    wire::negotiate,
};

use super::{
    connection::Driver,
    controller::Controller,
    error::{DirectoryError, DirectoryErrorKind},
    message::{Response, ask, bind, start_tls},
};

/// The account, and its tickets.
pub(super) struct OwnAccount {
    /// `None`: the first one of the client keytab.
    pub(super) principal: Option<Arc<str>>,
    pub(super) tickets: Tickets,
}

impl OwnAccount {
    /// Connects and signs in.
    pub(super) async fn connect(
        &self,
        controller: &Controller,
        tls: &Arc<ClientConfig>,
        time_limit: Duration,
    ) -> Result<(Ldap, Driver), DirectoryError> {
        let unreachable = |error: io::Error| {
            DirectoryError::new(DirectoryErrorKind::Unreachable, &controller.url).because(error)
        };
        let mut stream = connect(controller, tls).await.map_err(unreachable)?;
        self.sign_in(&mut stream, controller, time_limit).await?;
        let (theirs, mut ours) = UnixStream::pair().map_err(unreachable)?;
        let theirs = theirs.into_std().map_err(unreachable)?;
        let (connection, ldap) = speak_through(theirs)
            .await
            .map_err(|error| DirectoryError::ldap(error, &controller.url))?;
        let driver = Driver::start(async move {
            // Whoever waits for an answer sees that the connection has ended.
            let carried = pin!(copy_bidirectional(&mut stream, &mut ours));
            let _ = select(pin!(connection.drive()), carried).await;
        });
        Ok((ldap, driver))
    }

    async fn sign_in(
        &self,
        stream: &mut TlsStream<TcpStream>,
        controller: &Controller,
        time_limit: Duration,
    ) -> Result<(), DirectoryError> {
        let of = |kind| DirectoryError::new(kind, &controller.url);
        let no_ticket = |error: TicketError| of(DirectoryErrorKind::NoTicket).because(error);
        let certificates = stream.get_ref().1.peer_certificates();
        let binding = certificates
            .and_then(|certificates| certificates.first())
            .and_then(|certificate| negotiate::tls_server_end_point(certificate))
            .map(Arc::from);
        let lane = self.tickets.lane("ldap", &controller.host);
        let account = self.principal.clone();
        // Before the time for connecting is up, so that it is told who is silent.
        let patience = time_limit / 4 * 3;
        let (mut handshake, token) = lane
            .token(account, binding, patience)
            .await
            .map_err(no_ticket)?;

        let mut step = async |number, token: Option<&[u8]>| {
            let answer = ask(stream, number, bind(MECHANISM, token)).await;
            answer.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => of(DirectoryErrorKind::Malformed).because(error),
                _ => of(DirectoryErrorKind::Unreachable).because(error),
            })
        };
        let credentials = |answer: Response| match (answer.code, answer.credentials) {
            (IN_PROGRESS, Some(credentials)) => Ok(credentials),
            (SUCCESS | IN_PROGRESS, _) => Err(of(DirectoryErrorKind::Malformed)
                .because("the domain controller does not finish the exchange")),
            (code, _) => Err(refused(code, answer.text, controller)),
        };
        let reply = credentials(step(2, Some(&token)).await?)?;
        handshake.finish(&reply).map_err(no_ticket)?;
        let offer = credentials(step(3, None).await?)?;
        let choice = handshake.decline_layers(&offer).map_err(no_ticket)?;
        match step(4, Some(&choice)).await? {
            Response { code: SUCCESS, .. } => Ok(()),
            answer => Err(refused(answer.code, answer.text, controller)),
        }
    }
}

async fn connect(
    controller: &Controller,
    tls: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut stream = TcpStream::connect((&*controller.host, controller.port)).await?;
    if controller.start_tls {
        let answer = ask(&mut stream, 1, start_tls()).await?;
        if answer.code != SUCCESS {
            return Err(io::Error::other(format!(
                "no StartTLS: {} {:?}",
                answer.code, answer.text
            )));
        }
    }
    let name = ServerName::try_from(controller.host.to_string()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::clone(tls))
        .connect(name, stream)
        .await
}

async fn speak_through(
    stream: unix::net::UnixStream,
) -> Result<(LdapConnAsync, Ldap), ldap3::LdapError> {
    let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(stream));
    LdapConnAsync::with_settings(settings, "ldapi:///").await
}

fn refused(code: u32, text: String, controller: &Controller) -> DirectoryError {
    let result = LdapResult {
        rc: code,
        matched: String::new(),
        text,
        refs: Vec::new(),
        ctrls: Vec::new(),
    };
    DirectoryError::result(result, &controller.url)
}

const MECHANISM: &str = "GSSAPI";
const SUCCESS: u32 = 0;
const IN_PROGRESS: u32 = 14;
