//! Keeps `src/docs/decision-table.md` true: the table is what [`decide`] says, in every combination of the values
//! below. `UPDATE_DECISION_TABLE=1 cargo test --test it decision_table` writes it anew.

use std::{env, fs};

use cas_proxy::{
    decision::{CrossSiteRedirect, Decision, Here, Policy, Question, Refusal, decide},
    directory::{
        BackEnd, ClientAccessServer, ExchangeVersion, Mailbox, ServerName, SiteName, Topology,
    },
};

#[test]
//= src/docs/protocol.md#decide-legacy
//= src/docs/protocol.md#decide-local
//= src/docs/protocol.md#decide-redirect
//= src/docs/protocol.md#decide-proxy
fn the_decision_table_is_what_decide_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/decision-table.md");
    let table = render();
    if env::var_os("UPDATE_DECISION_TABLE").is_some() {
        fs::write(path, &table).unwrap();
    }
    let written = fs::read_to_string(path).unwrap();
    for (line, (written, rendered)) in (1..).zip(written.lines().zip(table.lines())) {
        assert_eq!(written, rendered, "line {line}; {HOW_TO_UPDATE}");
    }
    assert_eq!(written, table, "{HOW_TO_UPDATE}");
}

/// One thing a decision can depend on: its column in the table, and its values.
struct Dimension {
    column: usize,
    values: &'static [&'static str],
    /// Shorter words for some values together.
    together: &'static [(&'static [usize], &'static str)],
}

impl Dimension {
    fn words(&self, values: &[usize]) -> String {
        match self
            .together
            .iter()
            .find(|(together, _)| *together == values)
        {
            Some((_, words)) => (*words).into(),
            None => {
                let words: Vec<&str> = values.iter().map(|value| self.values[*value]).collect();
                words.join("; or ")
            }
        }
    }
}

/// A value for each of [`DIMENSIONS`], by its number.
type Cell = [usize; DIMENSIONS.len()];

const MAILBOX: usize = 0;
const SITE: usize = 1;
const REQUEST: usize = 2;
const SERVERS: usize = 3;
const REDIRECT: usize = 4;
const SSL: usize = 5;
const OWA: usize = 6;

const DIMENSIONS: [Dimension; 7] = [
    Dimension {
        column: 0,
        values: &[
            "none",
            "Exchange 2003, server not in the directory",
            "Exchange 2003, server without Integrated Windows authentication",
            "Exchange 2003, server is this CAS itself",
            "Exchange 2003, server ready",
            "Exchange 2007",
        ],
        together: &[(
            &[2, 3],
            "Exchange 2003, server without Integrated Windows authentication, or this CAS itself",
        )],
    },
    Dimension {
        column: 1,
        values: &["ours", "another", "unknown"],
        together: &[],
    },
    Dimension {
        column: 2,
        values: &["client at `/owa`", "client at another path", "CAS"],
        together: &[(&[0, 1], "client")],
    },
    Dimension {
        column: 3,
        values: &[
            "no CAS",
            "no InternalURL",
            "malformed InternalURL (event 38)",
            "InternalURL without Integrated Windows authentication",
            "no InternalURL, ExternalURL has the client's host",
            "InternalURL leads here",
            "ready",
            "ready, ExternalURL has the client's host",
            "ready, malformed ExternalURL (event 38)",
            "two ready, and one of each other kind without ExternalURL",
            "ready but not https",
            "ready but newer",
            "one ready but not https, one ready but newer",
            "ExternalURL only",
            "ready, with ExternalURL",
            "one ready, one with ExternalURL only",
            "newer, with ExternalURL",
        ],
        together: &[],
    },
    Dimension {
        column: 4,
        values: &["manual redirect", "silent redirect", "redirect never"],
        together: &[],
    },
    Dimension {
        column: 4,
        values: &["TLS required", "TLS not required"],
        together: &[],
    },
    Dimension {
        column: 4,
        values: &["`/owa` to back-ends", "`/owa` not to back-ends"],
        together: &[],
    },
];

fn render() -> String {
    let mut rows = Vec::new();
    add_rows(&[], &mut rows);
    let mut text = String::from(PREAMBLE);
    for row in rows {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

/// What is fixed so far: for each dimension from the first on, the values that make no difference to one another.
type Fixed<'f> = &'f [Vec<usize>];

fn add_rows(fixed: Fixed<'_>, rows: &mut Vec<Vec<String>>) {
    let outcomes = outcomes(fixed);
    let Some(dimension) = DIMENSIONS.get(fixed.len()) else {
        rows.push(row(fixed, &outcomes[0]));
        return;
    };
    if outcomes.iter().all(|outcome| *outcome == outcomes[0]) {
        rows.push(row(fixed, &outcomes[0]));
        return;
    }
    let mut groups: Vec<(Vec<usize>, Vec<Outcome>)> = Vec::new();
    for value in 0..dimension.values.len() {
        let outcomes = self::outcomes(&[fixed, &[vec![value]]].concat());
        match groups.iter_mut().find(|(_, same)| *same == outcomes) {
            Some((values, _)) => values.push(value),
            None => groups.push((vec![value], outcomes)),
        }
    }
    for (values, _) in groups {
        add_rows(&[fixed, &[values]].concat(), rows);
    }
}

/// All outcomes that are left, in a fixed order.
fn outcomes(fixed: Fixed<'_>) -> Vec<Outcome> {
    let mut cells: Vec<Cell> = vec![[0; DIMENSIONS.len()]];
    for (number, dimension) in DIMENSIONS.iter().enumerate() {
        let values = match fixed.get(number) {
            // One stands for all that make no difference.
            Some(values) => values[..1].to_vec(),
            None => (0..dimension.values.len()).collect(),
        };
        cells = cells
            .iter()
            .flat_map(|cell| {
                values.iter().map(move |value| {
                    let mut cell = *cell;
                    cell[number] = *value;
                    cell
                })
            })
            .collect();
    }
    cells.iter().map(outcome).collect()
}

fn row(fixed: Fixed<'_>, outcome: &Outcome) -> Vec<String> {
    let mut columns = vec![Vec::new(); 5];
    for (dimension, values) in DIMENSIONS.iter().zip(fixed) {
        if values.len() < dimension.values.len() {
            columns[dimension.column].push(dimension.words(values));
        }
    }
    let mut columns: Vec<String> = columns
        .into_iter()
        .map(|parts| match parts.is_empty() {
            true => "any".into(),
            false => parts.join(", "),
        })
        .collect();
    columns.extend(outcome.map(String::from));
    columns
}

/// What is decided, what the user sees, the event, and the requirement.
type Outcome = [&'static str; 4];

fn outcome(cell: &Cell) -> Outcome {
    let here = Here::new(name("seattle"), site("Seattle"), version(SAME));
    let mut topology = Topology::builder().client_access_server(
        cas("seattle", "Seattle", SAME)
            .with_internal_url("https://seattle/owa")
            .with_external_url("https://mail/owa"),
    );
    for server in servers(cell[SERVERS]) {
        topology = topology.client_access_server(server);
    }
    let back_end = |url: &str| BackEnd::new(name("mbx"), url.parse().unwrap());
    topology = match cell[MAILBOX] {
        2 => topology.back_end(back_end("http://mbx")),
        3 => {
            topology.back_end(back_end("https://seattle").with_integrated_windows_authentication())
        }
        4 => topology.back_end(back_end("http://mbx").with_integrated_windows_authentication()),
        _ => topology,
    };
    let topology = topology.build().unwrap();

    let mailbox = match cell[MAILBOX] {
        0 => None,
        1..=4 => Some(Mailbox::new(name("mbx"), version("6.5.7638.1"))),
        _ => Some(Mailbox::new(name("mbx"), version(SAME))),
    };
    let mailbox = mailbox.map(|mailbox| match cell[SITE] {
        0 => mailbox.with_site(site("Seattle")),
        1 => mailbox.with_site(site("Dallas")),
        _ => mailbox,
    });

    let mut question = Question::about(mailbox.as_ref());
    question.client_host = Some("mail");
    question.from_cas = cell[REQUEST] == 2;
    question.owa_path = cell[REQUEST] == 0;

    let mut policy = Policy::default();
    policy.redirect = [
        CrossSiteRedirect::Manual,
        CrossSiteRedirect::Silent,
        CrossSiteRedirect::Never,
    ][cell[REDIRECT]];
    policy.allow_proxying_without_ssl = cell[SSL] == 1;
    policy.owa_to_back_end = cell[OWA] == 0;

    describe(&decide(&here, &policy, &topology, &question))
}

/// The CASs of Dallas for a value of that dimension.
fn servers(value: usize) -> Vec<ClientAccessServer> {
    let dallas = |server| cas(server, "Dallas", SAME);
    let newer = |server| cas(server, "Dallas", "8.1.240.6");
    let with_url = |server: ClientAccessServer, scheme: &str| {
        let url = format!("{scheme}://{}/owa", server.name());
        server
            .with_internal_url(&url)
            .with_integrated_windows_authentication()
    };
    let ready = |server| with_url(dallas(server), "https");
    match value {
        0 => vec![],
        1 => vec![dallas("a").with_integrated_windows_authentication()],
        2 => vec![ready("a").with_internal_url("https://a")],
        3 => vec![dallas("a").with_internal_url("https://a/owa")],
        4 => vec![dallas("a").with_external_url("https://mail/owa")],
        5 => vec![ready("a").with_internal_url("https://mail/owa")],
        6 => vec![ready("a")],
        7 => vec![ready("a").with_external_url("https://mail/owa")],
        8 => vec![ready("a").with_external_url("mail-dallas")],
        9 => vec![
            dallas("a"),
            ready("b").with_internal_url("https://b"),
            dallas("c").with_internal_url("https://c/owa"),
            ready("d"),
            ready("e").with_internal_url("https://mail/owa"),
            with_url(dallas("f"), "http"),
            with_url(newer("g"), "https"),
            ready("h"),
        ],
        10 => vec![with_url(dallas("a"), "http")],
        11 => vec![with_url(newer("a"), "https")],
        12 => vec![with_url(dallas("a"), "http"), with_url(newer("b"), "https")],
        13 => vec![dallas("a").with_external_url("https://mail-dallas/owa")],
        14 => vec![ready("a").with_external_url("https://mail-dallas/owa")],
        15 => vec![
            ready("a"),
            dallas("b").with_external_url("https://mail-dallas/owa"),
        ],
        16 => vec![with_url(newer("a"), "https").with_external_url("https://mail-dallas/owa")],
        _ => panic!("value {value} of the servers has no meaning yet"),
    }
}

fn describe(decision: &Decision<'_>) -> Outcome {
    let refusal = match decision {
        Decision::ServeLocally => return ["serve locally", "the mailbox", "–", "`decide-local`"],
        Decision::Redirect { silent: false, .. } => {
            return [
                "redirect",
                "a page with a link to the ExternalURL",
                "–",
                "`decide-redirect`",
            ];
        }
        Decision::Redirect { silent: true, .. } => {
            return [
                "redirect",
                "the ExternalURL, without a page",
                "–",
                "`decide-redirect`",
            ];
        }
        Decision::ProxyToBackEnd(_) => {
            return [
                "pass on to the back-end",
                "the mailbox",
                "–",
                "`decide-legacy`",
            ];
        }
        Decision::Proxy(candidates) => {
            let decision = match candidates.len() {
                1 => "proxy to the only candidate",
                2 => "proxy to one of 2 candidates",
                3 => "proxy to one of 3 candidates",
                more => panic!("nobody set up {more} candidates"),
            };
            return [decision, "the mailbox", "–", "`decide-proxy`"];
        }
        Decision::Refuse(refusal) => refusal,
    };
    let (sees, requirement) = match refusal {
        Refusal::NoMailbox => ("404: no mailbox found", "`decide-no-mailbox`"),
        Refusal::NotConfigured => ("500: `error-not-configured`", "`decide-none-configured`"),
        Refusal::NotResponding => ("503: `error-not-responding`", "`decide-none-responding`"),
        Refusal::TlsRequired => ("502", "`tls-required`"),
        Refusal::IncompatibleVersions => ("502", "`version-rule`"),
        Refusal::WrongSite => (
            "nothing of it: the asking CAS gets 421 and looks again",
            "`decide-one-hop`",
        ),
        Refusal::BackEndNotConfigured => ("500: `error-not-configured`", "`back-end-identity`"),
        other => panic!("{other:?} has no words yet"),
    };
    let event = match refusal.event() {
        None => "–",
        Some(40) => "40",
        Some(41) => "41",
        Some(42) => "42",
        Some(46) => "46",
        Some(other) => panic!("event {other} has no words yet"),
    };
    ["refuse", sees, event, requirement]
}

fn cas(server: &str, at: &str, on: &str) -> ClientAccessServer {
    ClientAccessServer::new(name(server), site(at), version(on))
}

fn name(text: &str) -> ServerName {
    ServerName::new(text).unwrap()
}

fn site(text: &str) -> SiteName {
    SiteName::new(text).unwrap()
}

fn version(text: &str) -> ExchangeVersion {
    text.parse().unwrap()
}

const SAME: &str = "8.1.240.5";
const HOW_TO_UPDATE: &str = "if the new decision is meant, run with UPDATE_DECISION_TABLE=1";
const PREAMBLE: &str = "\
## Decision table

A test writes this table by asking `decide` in every combination of what it can depend on, and fails when the two
differ. *Any* means that it makes no difference. *Ready* is a CAS with an https InternalURL and Integrated Windows
authentication that is no newer than this one. Exactly one row fits any request. The requirements are those of the
protocol's documentation.

| mailbox | site | request from | CASs there | policy | decision | the user sees | event | requirement |
|---|---|---|---|---|---|---|---|---|
";
