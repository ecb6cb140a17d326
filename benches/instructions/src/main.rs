//! Counts the instructions that a request costs, and a piece of one; see `check.sh`.
//!
//! What is counted runs in a process of its own under callgrind: the figure knows nothing of how busy the machine was.
//! A server does so twice, with a few requests and with many, and the difference is what they cost. Client and second CAS
//! are in the process that watches, and cost nothing.

use std::{error::Error, process::ExitCode};

mod callgrind;
mod first_cas;
mod pieces;
mod traffic;

/// An error of any kind ends the measurement.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is measured, by name: each is a row of the table.
const ROWS: [Row; 10] = [
    Row("bare", Work::Requests(1_000)),
    Row("local", Work::Requests(1_000)),
    Row("proxied", Work::Requests(1_000)),
    Row("signed", Work::Requests(1_000)),
    Row("cycle-441", Work::Requests(300)),
    Row("csc-write-200", Work::Piece(50)),
    Row("csc-read-200", Work::Piece(50)),
    Row("decide-8", Work::Piece(1_000)),
    Row("sign", Work::Piece(100)),
    Row("peek-1m", Work::Piece(1_000)),
];

#[derive(Clone, Copy)]
struct Row(&'static str, Work);

/// How a row is measured.
#[derive(Clone, Copy)]
enum Work {
    /// Requests to a first CAS: so many, and three times as many.
    Requests(u32),
    /// So many calls of a function.
    Piece(u32),
}

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to measure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["serve", kind, second_cas] => first_cas::serve(kind, second_cas.parse()?),
        ["repeat", piece, times] => pieces::repeat(piece, times.parse()?),
        ["drive", kind, times] => drive(kind, times.parse()?),
        [] => ROWS.iter().try_for_each(measure),
        ref names => ROWS
            .iter()
            .filter(|Row(name, _)| names.contains(name))
            .try_for_each(measure),
    }
}

fn measure(&Row(name, work): &Row) -> Result<()> {
    let instructions = match work {
        Work::Requests(few) => traffic::count(name, few)?,
        Work::Piece(times) => pieces::count(name, times)?,
    };
    println!("{name}\t{instructions}");
    Ok(())
}

/// Serves and asks without callgrind: for `perf`, and to see how long it takes.
fn drive(kind: &str, times: u32) -> Result<()> {
    let started = std::time::Instant::now();
    traffic::drive_plainly(kind, times)?;
    println!("{kind}\t{times} requests\t{:?}", started.elapsed());
    Ok(())
}
