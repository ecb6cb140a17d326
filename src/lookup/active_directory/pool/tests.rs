//! What those who sign in may do to the others, at a domain controller of a few lines; the real one is met by the tests in
//! `tests/real`.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{
    super::{
        AuthenticatedName, Identity, Shared,
        builder::{Bind, Secret},
        refresh::Refreshed,
    },
    *,
};

/// What it does about whoever is not the bind account.
#[derive(Clone, Copy)]
enum Stranger {
    Refused,
    HungUp,
    LeftWaiting,
}

/// A domain controller that knows the bind account, and no user; with the number of others who tried to sign in.
async fn directory(stranger: Stranger) -> (Arc<Shared>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ldap://{}", listener.local_addr().unwrap());
    let strangers = Arc::<AtomicUsize>::default();
    let seen = Arc::clone(&strangers);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, stranger, Arc::clone(&seen)));
        }
    });
    let settings = Settings {
        bind: Bind::Password("svc".to_owned(), Secret::new("secret")),
        ..Settings::default()
    };
    let shared = Shared {
        pool: Pool::new(vec![Controller::new(&url).unwrap()], settings),
        here: None,
        snapshot: Default::default(),
        refreshed: Mutex::new(Refreshed::never()),
        turn: Default::default(),
    };
    (Arc::new(shared), strangers)
}

async fn serve(mut stream: TcpStream, stranger: Stranger, strangers: Arc<AtomicUsize>) {
    while let Ok(message) = element(&mut stream).await {
        // An identifier of one byte, then the operation.
        let (id, operation) = (message[2], &message[3..]);
        let of_root =
            operation.starts_with(b"\x63") && contains(operation, b"defaultNamingContext");
        let answer = match operation[0] {
            0x60 if contains(operation, b"svc") => reply(id, 0x61, &result(0)),
            0x60 => {
                strangers.fetch_add(1, Ordering::Relaxed);
                match stranger {
                    Stranger::Refused => reply(id, 0x61, &result(49)),
                    Stranger::HungUp => return,
                    Stranger::LeftWaiting => std::future::pending().await,
                }
            }
            0x63 if of_root => [reply(id, 0x64, &root()), reply(id, 0x65, &result(0))].concat(),
            0x63 => reply(id, 0x65, &result(0)),
            _ => return,
        };
        stream.write_all(&answer).await.unwrap();
    }
}

/// The content of the next element of BER.
async fn element(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let _tag = stream.read_u8().await?;
    let length = match stream.read_u8().await? {
        0x81 => usize::from(stream.read_u8().await?),
        0x82 => usize::from(stream.read_u16().await?),
        short => usize::from(short),
    };
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await?;
    Ok(content)
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

fn ber(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    [&[tag, 0x81, length], content].concat()
}

fn reply(id: u8, tag: u8, content: &[u8]) -> Vec<u8> {
    ber(0x30, &[ber(2, &[id]), ber(tag, content)].concat())
}

fn result(code: u8) -> Vec<u8> {
    [ber(10, &[code]), ber(4, b""), ber(4, b"")].concat()
}

/// What the directory is called.
fn root() -> Vec<u8> {
    let attribute = |name: &[u8]| {
        let values = ber(0x31, &ber(4, b"DC=contoso"));
        ber(0x30, &[ber(4, name), values].concat())
    };
    let attributes = [
        attribute(b"defaultNamingContext"),
        attribute(b"configurationNamingContext"),
    ];
    [ber(4, b""), ber(0x30, &attributes.concat())].concat()
}

const ANNA: &str = "anna@contoso.com";

#[tokio::test(start_paused = true)]
async fn while_all_rest_nobody_is_asked_and_nobody_waits() {
    let controller = Controller::new("ldap://127.0.0.1:1").unwrap();
    let pool = Pool::new(vec![controller], Settings::default());
    let kind = async || {
        let begun = Instant::now();
        let error = pool.search(&[], Duration::from_secs(5)).await.unwrap_err();
        (error.kind(), begun.elapsed())
    };
    assert_ne!(kind().await.0, DirectoryErrorKind::Resting);
    let resting = (DirectoryErrorKind::Resting, Duration::ZERO);
    assert_eq!(kind().await, resting);
    let verified = pool.verify("CN=anna", "secret").await.unwrap_err();
    assert_eq!(verified.kind(), DirectoryErrorKind::Resting);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_ne!(kind().await.0, DirectoryErrorKind::Resting);
}

#[tokio::test]
async fn a_crowd_that_signs_in_leaves_room_for_lookups() {
    let (directory, strangers) = directory(Stranger::LeftWaiting).await;
    let crowd: Vec<_> = (0..64)
        .map(|_| {
            let directory = Arc::clone(&directory);
            tokio::spawn(async move { directory.sign_in(ANNA, "secret").await })
        })
        .collect();
    let half = directory.pool.settings().max_connections / 2;
    while strangers.load(Ordering::Relaxed) < half {
        tokio::task::yield_now().await;
    }
    let anna = AuthenticatedName::new("Basic", ANNA).unwrap();
    assert_eq!(directory.identify(&anna).await.unwrap(), Identity::Unknown);
    for member in crowd {
        member.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn no_password_costs_others_their_domain_controller() {
    let (directory, strangers) = directory(Stranger::HungUp).await;
    let anna = AuthenticatedName::new("Basic", ANNA).unwrap();
    assert_eq!(directory.identify(&anna).await.unwrap(), Identity::Unknown);
    let error = directory.sign_in(ANNA, "secret").await.unwrap_err();
    assert_eq!(error.kind(), DirectoryErrorKind::Unreachable);
    assert_eq!(strangers.load(Ordering::Relaxed), 1);
    assert!(directory.pool.controllers[0].rests().is_none());
    assert_eq!(directory.pool.idle().len(), 1);
    assert_eq!(directory.identify(&anna).await.unwrap(), Identity::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_password_that_none_can_be_is_not_shown_to_anybody() {
    let (directory, strangers) = directory(Stranger::Refused).await;
    for (password, shown) in [
        (String::new(), 0),
        ("secret\0".to_owned(), 0),
        ("x".repeat(260_000), 0),
        ("x".repeat(1025), 0),
        ("x".repeat(1024), 1),
        ("x".to_owned(), 2),
    ] {
        let found = directory.sign_in(ANNA, &password).await.unwrap();
        assert_eq!(found, Identity::Unknown);
        let seen = strangers.load(Ordering::Relaxed);
        assert_eq!(seen, shown, "{} bytes", password.len());
    }
}
