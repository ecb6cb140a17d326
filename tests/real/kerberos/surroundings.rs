//! The environment that the Kerberos library reads. It belongs to a process, so each test runs in one of its own.

use std::{env, path::PathBuf, process::Command};

/// What a process finds around it.
#[derive(Clone, Copy)]
pub struct Surroundings {
    realm: &'static str,
    config: &'static str,
    client_keytab: &'static str,
    clock: Option<&'static str>,
}

/// The first CAS, with everything in order.
pub const SEATTLE: Surroundings = Surroundings {
    realm: "cas-proxy-kerberos",
    config: "krb5.conf",
    client_keytab: "seattle.keytab",
    clock: None,
};

/// The same, where Active Directory is the KDC.
pub const SAMBA: Surroundings = Surroundings {
    realm: "cas-proxy-kerberos-samba",
    ..SEATTLE
};

impl Surroundings {
    /// Reads another `krb5.conf`.
    pub const fn config(mut self, file: &'static str) -> Self {
        self.config = file;
        self
    }

    /// Is another account.
    pub const fn client_keytab(mut self, file: &'static str) -> Self {
        self.client_keytab = file;
        self
    }

    /// Has a clock that is off.
    pub const fn clock(mut self, offset: &'static str) -> Self {
        self.clock = Some(offset);
        self
    }

    /// Runs the test of this name, which is the one that asks, in a process with these surroundings.
    pub fn run<F: Future<Output = ()>>(self, test: &str, body: impl FnOnce() -> F) {
        if env::var_os(INSIDE).is_some() {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build();
            return runtime.unwrap().block_on(body());
        }
        let home = env::temp_dir().join(self.realm);
        assert!(
            home.join("krb5.conf").exists(),
            "run tests/real/kerberos/realm.sh up [samba]"
        );
        let program = env::current_exe().unwrap();
        let mut command = match self.clock {
            None => Command::new(program),
            Some(offset) => {
                let mut faked = Command::new("faketime");
                // Waits go by a clock that nobody sets.
                faked
                    .args(["--exclude-monotonic", "-f", offset])
                    .arg(program);
                faked
            }
        };
        let file = |name: &str| format!("FILE:{}", home.join(name).display());
        let own = test.replace("::", "-");
        let _ = std::fs::remove_file(home.join(tickets(test)));
        let output = command
            .args([test, "--exact", "--ignored", "--nocapture"])
            .env(INSIDE, &home)
            .env("KRB5_CONFIG", home.join(self.config))
            .env("KRB5_CLIENT_KTNAME", file(self.client_keytab))
            .env("KRB5_KTNAME", file("dallas.keytab"))
            .env("KRB5CCNAME", file(&tickets(test)))
            .env(
                "KRB5RCACHENAME",
                format!("file2:{}", home.join(own + ".rcache").display()),
            )
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}{complained}"
        );
        for line in said.lines().filter_map(|line| line.split_once("figure: ")) {
            println!("{}", line.1);
        }
    }
}

/// Where the tickets of a test are kept.
pub fn tickets(test: &str) -> String {
    test.replace("::", "-") + ".tickets"
}

/// Where the realm keeps its files.
pub fn home() -> PathBuf {
    env::var_os(INSIDE).unwrap().into()
}

/// The account of a server.
pub fn account(server: &str) -> String {
    format!("{}@FOURTHCOFFEE.TEST", entry("names", server))
}

/// What a file says of something.
fn entry(file: &str, of: &str) -> String {
    let text = read(file);
    let entry = text
        .lines()
        .find_map(|line| line.strip_prefix(of)?.strip_prefix(' '));
    entry.unwrap().to_owned()
}

/// The `/owa` of Apache in one of its roles.
pub fn apache(role: &str) -> String {
    format!("http://localhost:{}/owa", entry("ports", role))
}

/// One of the KDCs that tests may stop; dropped, it goes on.
pub struct Kdc(String);

impl Kdc {
    pub fn number(number: u32) -> Self {
        Self(read(&format!("kdc-{number}.pid")))
    }

    pub fn stop(&self) {
        self.signal("-STOP");
    }

    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, self.0.trim()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        self.go_on();
    }
}

/// Reads one of them.
pub fn read(file: &str) -> String {
    std::fs::read_to_string(home().join(file)).unwrap()
}

const INSIDE: &str = "CAS_PROXY_INSIDE";
