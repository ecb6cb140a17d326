//! What an Active Directory lookup does when it meets none; the real one is met by the tests in `tests/real`.

use std::{sync::Mutex, time::Duration};

use cas_proxy::lookup::active_directory::{
    ActiveDirectory, ActiveDirectoryBuilder, DirectoryErrorKind, danger,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    time::Instant,
};

/// A server that says this to everyone, and then nothing more.
async fn server(says: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ldap://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let open: Mutex<Vec<TcpStream>> = Mutex::default();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(says).await.unwrap();
            open.lock().unwrap().push(stream);
        }
    });
    url
}

fn asking(urls: &[&str]) -> ActiveDirectoryBuilder {
    let directory = ActiveDirectory::builder(urls.iter().copied()).unwrap();
    danger::without_tls(directory.bind("svc", "secret"))
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_in_time_and_the_next_one_is_asked() {
    let (one, other) = (server(b"").await, server(b"").await);
    let begun = Instant::now();
    let directory = asking(&[&one, &other]).connect_time_limit(Duration::from_secs(2));
    let error = directory.connect().await.unwrap_err();
    assert_eq!(error.kind(), DirectoryErrorKind::TimedOut);
    let seconds = begun.elapsed().as_secs_f64();
    assert!((4.0..4.1).contains(&seconds), "{seconds}");
    assert!(error.to_string().contains(&other), "{error}");
    assert!(!error.to_string().contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_an_error_and_no_panic() {
    for says in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(),
        b"\x30\x00",
        b"\x30\x03\x02\x01\x01",
        // Answers to the first request, of no kind that there is.
        b"\x30\x05\x02\x01\x01\x05\x00",
        b"\x30\x07\x02\x01\x01\x61\x02\x0a\x00",
        b"\x30\x80\x02\x01\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let url = server(says).await;
        let error = asking(&[&url]).connect().await.unwrap_err();
        use DirectoryErrorKind::{Malformed, TimedOut, Unreachable};
        assert!(
            matches!(error.kind(), Malformed | TimedOut | Unreachable),
            "{says:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn nobody_is_asked_without_a_password() {
    let url = server(b"").await;
    for (name, password) in [("svc", ""), ("", "secret"), ("", "")] {
        let error = asking(&[&url]).bind(name, password).connect().await;
        assert_eq!(error.unwrap_err().kind(), DirectoryErrorKind::BindRefused);
    }
    let nowhere = asking(&[]).connect().await.unwrap_err();
    assert_eq!(nowhere.kind(), DirectoryErrorKind::Resting);
}
