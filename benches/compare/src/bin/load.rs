//! What wrk and h2load have not: single large bodies, a fixed rate, and connections that idle.
//!
//! Each command prints one line of JSON.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use cas_proxy_compare::{Arguments, BoxError};

fn main() -> Result<(), BoxError> {
    let command = env::args().nth(1).ok_or("needs a command")?;
    let arguments = Arguments::read(1)?;
    let target = Target {
        address: arguments.get("--address")?,
        path: arguments.get("--path")?,
        user: arguments.get("--user")?,
    };
    match &*command {
        "down" => down(&target),
        "up" => up(&target, arguments.get("--bytes")?),
        "rate" => rate(
            &target,
            arguments.get("--rate")?,
            arguments.get("--connections")?,
            Duration::from_secs_f64(arguments.get("--seconds")?),
        ),
        "idle" => idle(&target, arguments.get("--connections")?),
        other => Err(format!("no such command: {other}").into()),
    }
}

struct Target {
    address: SocketAddr,
    path: String,
    user: String,
}

impl Target {
    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(BufReader::with_capacity(PIECE, stream))
    }

    fn head(&self, method: &str, length: &str) -> Vec<u8> {
        let Self {
            address,
            path,
            user,
        } = self;
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nX-User: {user}\r\n{length}\r\n")
            .into_bytes()
    }
}

/// Reads one answer, and gives the bytes of its body.
fn answer(stream: &mut BufReader<TcpStream>) -> Result<u64, BoxError> {
    let (mut line, mut length) = (String::new(), None);
    stream.read_line(&mut line)?;
    if line.split(' ').nth(1) != Some("200") {
        return Err(format!("answered {line:?}").into());
    }
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err("the head ends early".into());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = Some(value.parse()?);
            }
            Some(_) => {}
            None => break,
        }
    }
    let length = length.ok_or("the answer has no length")?;
    let mut left: u64 = length;
    while left > 0 {
        let there = stream.fill_buf()?.len();
        if there == 0 {
            return Err("the body ends early".into());
        }
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        stream.consume(taken);
        left -= taken as u64;
    }
    Ok(length)
}

fn down(target: &Target) -> Result<(), BoxError> {
    let mut stream = target.connect()?;
    stream.get_mut().write_all(&target.head("GET", ""))?;
    let bytes = answer(&mut stream)?;
    println!("{{\"bytes\": {bytes}}}");
    Ok(())
}

fn up(target: &Target, bytes: u64) -> Result<(), BoxError> {
    let mut stream = target.connect()?;
    let length = format!("Content-Length: {bytes}\r\n");
    stream.get_mut().write_all(&target.head("POST", &length))?;
    let piece = vec![b'x'; PIECE];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        stream.get_mut().write_all(&piece[..part])?;
        left -= part as u64;
    }
    answer(&mut stream)?;
    println!("{{\"bytes\": {bytes}}}");
    Ok(())
}

/// Each connection has a plan of its own, and a request counts from the moment it was planned for: what waits behind
/// a slow answer waits in the figures, too.
fn rate(target: &Target, rate: f64, connections: u32, span: Duration) -> Result<(), BoxError> {
    // Or each sleep is 50 us too long. Threads inherit it.
    fs::write("/proc/self/timerslack_ns", "1")?;
    let period = Duration::from_secs_f64(f64::from(connections) / rate);
    let start = Instant::now() + Duration::from_millis(50);
    let mut latencies = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|number| {
                let first = start + period * number / connections;
                scope.spawn(move || planned(target, first, period, start + span))
            })
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok::<_, BoxError>(all)
    })?;
    latencies.sort_unstable();
    let at = |part: f64| -> u128 {
        let index = (latencies.len() as f64 * part) as usize;
        latencies.get(index).map_or(0, Duration::as_micros)
    };
    println!(
        "{{\"requests\": {}, \"p50\": {}, \"p90\": {}, \"p99\": {}, \"p999\": {}}}",
        latencies.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999)
    );
    Ok(())
}

fn planned(
    target: &Target,
    first: Instant,
    period: Duration,
    end: Instant,
) -> Result<Vec<Duration>, BoxError> {
    let mut stream = target.connect()?;
    let request = target.head("GET", "");
    let mut latencies = Vec::new();
    let mut planned = first;
    while planned < end {
        thread::sleep(planned.saturating_duration_since(Instant::now()));
        stream.get_mut().write_all(&request)?;
        answer(&mut stream)?;
        latencies.push(planned.elapsed());
        planned += period;
    }
    Ok(latencies)
}

/// Opens connections, uses each once, and keeps them until its standard input ends.
fn idle(target: &Target, connections: u32) -> Result<(), BoxError> {
    let request = target.head("GET", "");
    let mut open = Vec::new();
    for _ in 0..connections {
        let mut stream = target.connect()?;
        stream.get_mut().write_all(&request)?;
        answer(&mut stream)?;
        open.push(stream.into_inner());
    }
    println!("{{\"connections\": {}}}", open.len());
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

const PIECE: usize = 256 * 1024;
