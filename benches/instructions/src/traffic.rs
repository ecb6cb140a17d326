//! A client and a second CAS for the process under measurement: as little of both as will do.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{Result, callgrind};

/// The instructions of one request to a first CAS, out of some that come one after the other.
pub(crate) fn count(kind: &str, few: u32) -> Result<u64> {
    let count = |rounds| {
        let second_cas = second_cas(kind)?.to_string();
        let arguments = ["serve", kind, &second_cas];
        callgrind::run(&[], &arguments, |server| ask(server, rounds))
    };
    let many = 3 * few;
    let difference = count(many)?.saturating_sub(count(few)?);
    Ok(difference / u64::from(many - few))
}

/// The same at full speed.
pub(crate) fn drive_plainly(kind: &str, rounds: u32) -> Result<()> {
    let second_cas = second_cas(kind)?.to_string();
    let mut server = Command::new(std::env::current_exe()?)
        .args(["serve", kind, &second_cas])
        .stdout(Stdio::piped())
        .spawn()?;
    ask(&mut server, rounds)?;
    server.wait()?;
    Ok(())
}

fn ask(server: &mut Child, rounds: u32) -> Result<()> {
    let mut lines = BufReader::new(server.stdout.take().ok_or("no output")?).lines();
    let port: u16 = lines.next().ok_or("no port")??.parse()?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    for _ in 0..rounds {
        stream.write_all(REQUEST)?;
        let head = read_message(&mut reader)?.ok_or("the first CAS closed the connection")?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(head.into());
        }
    }
    Ok(())
}

/// Starts a second CAS and gives its port.
fn second_cas(kind: &str) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let forgets = kind == "cycle-441";
    let logged_in = Arc::new(AtomicBool::new(!forgets));
    // It lives as long as the program.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let logged_in = Arc::clone(&logged_in);
            thread::spawn(move || answer(stream, &logged_in, forgets));
        }
    });
    Ok(port)
}

/// Answers as a second CAS does, 441 for everyone but whoever has just logged in if it `forgets`.
fn answer(mut stream: TcpStream, logged_in: &AtomicBool, forgets: bool) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    while let Some(head) = read_message(&mut reader).ok()? {
        let answer = if head.starts_with("POST ") {
            logged_in.store(true, Ordering::Relaxed);
            LOGIN_ACCEPTED.to_owned()
        } else if logged_in.fetch_and(!forgets, Ordering::Relaxed) {
            format!("{OK}{}", "x".repeat(128))
        } else {
            NEED_IDENTITY.to_owned()
        };
        stream.write_all(answer.as_bytes()).ok()?;
    }
    Some(())
}

/// Reads a message with its body, and gives its head; `None` at the end of the connection.
fn read_message(reader: &mut impl BufRead) -> Result<Option<String>> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let begins = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Ok(None);
        }
        let line = head.get(begins..).unwrap_or_default().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let read = std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    Ok((read == length).then_some(head))
}

const REQUEST: &[u8] = b"GET /owa/?ae=Folder&t=IPF.Note HTTP/1.1\r\n\
    host: mail.contoso.com\r\n\
    user-agent: Mozilla/5.0\r\n\
    accept: text/html\r\n\
    accept-encoding: gzip\r\n\
    cookie: UserContext=0123456789abcdef\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\n\
    content-type: text/html\r\n\
    server: Microsoft-IIS/6.0\r\n\
    date: Mon, 10 Sep 2007 10:00:00 GMT\r\n\
    content-length: 128\r\n\r\n";
const NEED_IDENTITY: &str = "HTTP/1.1 441 Need Identity\r\ncontent-length: 0\r\n\r\n";
const LOGIN_ACCEPTED: &str = "HTTP/1.1 241 Logged On\r\ncontent-length: 0\r\n\r\n";
