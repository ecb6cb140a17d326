//! Two CASs that know each other by their certificates: no secret is shared, and none is sent.
//!
//! ```sh
//! cargo run --example mutual_tls
//! ```
//!
//! Both run in this process, on loopback, with certificates made on the spot. Several servers try to be the first CAS;
//! the program ends well only if the right one alone gets through.

use std::{convert::Infallible, error::Error, net::SocketAddr, process::ExitCode, sync::Arc};

use bytes::Bytes;
use cas_proxy::{
    CasProxyLayer, ClientAccessServer, ClientSecurityContext, Here, InMemory, Mailbox, MailboxKey,
    SecondCasLayer, Topology,
    outbound::{Client, Tls},
    second_cas::{ClientCertificates, PeerCertificate, Proxied},
};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig, ServerConnection,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    },
};
use tower::{Layer, ServiceExt, service_fn};
use webpki::EndEntityCert;

type BoxError = Box<dyn Error + Send + Sync>;

/// The name that the second CAS trusts. Being issued by the right authority is not enough: so is every other server's.
const SEATTLE: &str = "seattle-cas1.contoso.com";

#[tokio::main]
#[allow(dead_code, reason = "a test plays the cases itself")]
async fn main() -> Result<ExitCode, BoxError> {
    let cases = play().await?;
    for case in &cases {
        println!("{case}");
    }
    let as_expected = cases.iter().all(Case::is_as_expected);
    Ok(if as_expected {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Someone asks for Anna's mailbox, as the first CAS would.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) who: &'static str,
    expected: bool,
    status: StatusCode,
    body: Bytes,
}

impl Case {
    /// Who has to be let in is let in, as the CAS it is; anybody else reads a page of the first CAS.
    pub(crate) fn is_as_expected(&self) -> bool {
        let served = format!("mail of {ANNA}, for {SEATTLE}");
        match self.expected {
            true => self.status == StatusCode::OK && self.body == served,
            false => self.status.as_u16() >= 400 && !self.body.starts_with(b"mail"),
        }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.is_as_expected() { "ok" } else { "WRONG" };
        write!(f, "{verdict:5} {} {}", self.status.as_u16(), self.who)
    }
}

pub(crate) async fn play() -> Result<Vec<Case>, BoxError> {
    let (contoso, stranger) = (Authority::new()?, Authority::new()?);
    let own = contoso.issue("127.0.0.1", |_| {})?;
    let dallas = open_second_cas(&contoso, own).await?;

    let outdated = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2006, 1, 1);
        params.not_after = date_time_ymd(2007, 9, 10);
    };
    let rows = [
        ("the first CAS", true, Some(contoso.issue(SEATTLE, |_| {})?)),
        (
            "another server of the same company",
            false,
            Some(contoso.issue("printer.contoso.com", |_| {})?),
        ),
        (
            "one whose certificate has the name as its common name only",
            false,
            Some(contoso.issue("www.contoso.com", |params| {
                params
                    .distinguished_name
                    .push(rcgen::DnType::CommonName, SEATTLE);
            })?),
        ),
        (
            "a wildcard certificate",
            false,
            Some(contoso.issue("*.contoso.com", |_| {})?),
        ),
        (
            "one with the right name from another authority",
            false,
            Some(stranger.issue(SEATTLE, |_| {})?),
        ),
        (
            "one whose certificate has expired",
            false,
            Some(contoso.issue(SEATTLE, outdated)?),
        ),
        ("one that shows no certificate", false, None),
    ];
    let mut cases = Vec::new();
    for (who, expected, certificate) in rows {
        let tls = match certificate {
            Some((chain, key)) => {
                Tls::trust_roots_with_client_certificate([contoso.root.clone()], chain, key)?
            }
            None => Tls::trust_roots([contoso.root.clone()])?,
        };
        cases.push(ask(who, expected, dallas, tls).await?);
    }
    // It goes both ways: the right first CAS tells nobody else its users.
    let (chain, key) = contoso.issue(SEATTLE, |_| {})?;
    let impostor = open_second_cas(&contoso, stranger.issue("127.0.0.1", |_| {})?).await?;
    let tls = Tls::trust_roots_with_client_certificate([contoso.root.clone()], chain, key)?;
    let who = "the first CAS, at a second one whose certificate is a stranger's";
    cases.push(ask(who, false, impostor, tls).await?);
    Ok(cases)
}

/// A first CAS in Seattle with this TLS set-up, asked once for a mailbox in Dallas.
async fn ask(
    who: &'static str,
    expected: bool,
    dallas: SocketAddr,
    tls: Tls,
) -> Result<Case, BoxError> {
    let version = "8.3.83.6".parse()?;
    let here = Here::new("seattle".parse()?, "Seattle".parse()?, version);
    let second = ClientAccessServer::new("dallas".parse()?, "Dallas".parse()?, version)
        .with_internal_url(&format!("https://{dallas}/owa"))
        .with_integrated_windows_authentication();
    let topology = Topology::builder().client_access_server(second).build()?;
    let mailbox = Mailbox::new("mailbox1".parse()?, version).with_site("Dallas".parse()?);
    let lookup = InMemory::new().insert(MailboxKey::Sid(ANNA.parse()?), mailbox);
    let first_cas = CasProxyLayer::new(here, Arc::new(topology), lookup)
        .outbound(Client::builder().tls(tls).build())
        .external_url(&"https://mail.contoso.com/owa".parse()?);

    let anna =
        ClientSecurityContext::builder(ANNA.parse()?, "Kerberos", r"CONTOSO\anna").build()?;
    let request = Request::get("/owa/")
        .header("host", "mail.contoso.com")
        .header("accept", "text/html")
        .extension(anna)
        .body(Empty::<Bytes>::new())?;
    let nobody_here = service_fn(|_: Request<Empty<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let answer = first_cas.layer(nobody_here).oneshot(request).await?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Case {
        who,
        expected,
        status: parts.status,
        body,
    })
}

/// A second CAS: TLS verifies the chain and that the peer holds the key, the layer the name.
async fn open_second_cas(
    authority: &Authority,
    (chain, key): Certificate,
) -> Result<SocketAddr, BoxError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root.clone())?;
    let provider = Arc::new(ring::default_provider());
    // Browsers come by the same port, and have no certificate.
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let layer =
        SecondCasLayer::new(ClientCertificates::named([SEATTLE])).version("8.3.83.6".parse()?);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        // An example ends with its first failure to accept.
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(acceptor.clone(), stream, layer.clone()));
        }
    });
    Ok(address)
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, layer: SecondCasLayer) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let peer = peer_certificate(stream.get_ref().1);
    let service = layer.layer(service_fn(mail));
    // What is known of the connection goes with each of its requests. A client cannot write there.
    let service = service.map_request(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer.clone() {
            request.extensions_mut().insert(peer);
        }
        request
    });
    let _ = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await;
}

/// The names of a verified certificate: its subject alternative names, never its common name.
fn peer_certificate(connection: &ServerConnection) -> Option<PeerCertificate> {
    let leaf = connection.peer_certificates()?.first()?;
    let leaf = EndEntityCert::try_from(leaf).ok()?;
    Some(PeerCertificate::verified_with_names(leaf.valid_dns_names()))
}

/// What serves mail at the second CAS.
async fn mail(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let user = request.extensions().get::<ClientSecurityContext>();
    let caller = request.extensions().get::<Proxied>().map(Proxied::caller);
    let text = match (user, caller) {
        (Some(user), Some(caller)) => format!("mail of {}, for {caller}", user.user()),
        _ => "sign in".to_owned(),
    };
    Ok(Response::new(Full::from(text)))
}

type Certificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Issues certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Result<Self, BoxError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key)?.der().clone();
        let issuer = Issuer::new(params, key);
        Ok(Self { issuer, root })
    }

    fn issue(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Certificate, BoxError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((vec![certificate.der().clone()], key.into()))
    }
}

const ANNA: &str = "S-1-5-21-1004336348-1177238915-682003330-1105";
