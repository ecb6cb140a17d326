//! What is logged on one thread, for tests: the library's own and those in `tests`.

use std::{
    io,
    sync::{Arc, Mutex, Once, OnceLock},
};

use tracing_subscriber::fmt::MakeWriter;

/// Set in the environment, everything goes to standard error.
pub const ALL: &str = "CAS_PROXY_LOG_ALL";

/// Logs all there is, from now on and on every thread, if the environment asks for it.
pub fn log_all_if_asked() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os(ALL).is_some() {
            let all = tracing_subscriber::fmt().with_ansi(false);
            all.with_max_level(tracing::Level::TRACE)
                .with_writer(io::stderr)
                .init();
        }
    });
}

#[derive(Clone, Default)]
pub struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    /// Collects from `DEBUG` up until the guard is dropped. For tests on a single thread.
    pub fn collect(&self) -> tracing::subscriber::DefaultGuard {
        self.collect_from(tracing::Level::DEBUG)
    }

    /// Collects from `level` up.
    pub fn collect_from(&self, level: tracing::Level) -> tracing::subscriber::DefaultGuard {
        // With a single subscriber alive, an event first met on a thread without one is off for all threads.
        static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::registry()));
        let format = tracing_subscriber::fmt().with_ansi(false).without_time();
        tracing::subscriber::set_default(
            format
                .with_max_level(level)
                .with_writer(self.clone())
                .finish(),
        )
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The numbered events, in order, each with its server where it names one.
    pub fn events(&self) -> Vec<String> {
        let field = |line: &str, name: &str| {
            let (_, rest) = line.split_once(&format!(" {name}="))?;
            Some(rest.split(' ').next()?.to_owned())
        };
        let text = self.text();
        text.lines()
            .filter_map(|line| {
                let event = field(line, "event_id")?;
                let server = field(line, "server");
                Some(server.map_or(event.clone(), |server| format!("{event} {server}")))
            })
            .collect()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if std::env::var_os(ALL).is_some() {
            io::Write::write_all(&mut io::stderr(), bytes)?;
        }
        io::Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
