//! Who asks for what, and what has to come of it.

use std::net::SocketAddr;

use cas_proxy::{
    pages::{NOT_CONFIGURED, NOT_RESPONDING},
    telemetry::Outcome,
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    BoxError, client,
    company::{Company, USERS, owa},
    recorder::Exchange,
};

/// What is to be asked, and the row of the table and the words on the page that it has to come to.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) user: &'static str,
    server: SocketAddr,
    pub(crate) path: &'static str,
    decision: &'static str,
    status: u16,
    hops: &'static str,
    words: Vec<String>,
}

/// A request that was made, and all that was seen of it.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) ask: Ask,
    /// Where the directory says the mailbox is.
    pub(crate) mailbox: String,
    pub(crate) decision: String,
    pub(crate) status: u16,
    /// The server the user reached, and what each further one answered.
    pub(crate) hops: String,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) page: String,
}

/// Makes every request, one after the other.
pub(crate) async fn play(
    company: &Company,
    exchanges: &mut UnboundedReceiver<Exchange>,
) -> Result<Vec<Visit>, BoxError> {
    let (seattle, denver) = (company.at.seattle, company.at.denver);
    let link = format!("<a href=\"{}\">", owa(denver));
    let script = [
        ask("anna", seattle, "/owa/")
            .comes_to("served here", 200, "seattle")
            .says(&["<dd>anna</dd>", "<dd>Seattle</dd>"]),
        ask("bert", seattle, "/owa/")
            .comes_to(
                "proxied to dallas, logged in",
                200,
                "seattle > dallas 441 241 200",
            )
            .says(&["<dd>bert</dd>", "<dd>Dallas</dd>", "key seattle-to-dallas"]),
        ask("bert", seattle, "/owa/")
            .comes_to("proxied to dallas", 200, "seattle > dallas 200")
            .says(&["<dd>bert</dd>", "<dd>Dallas</dd>", "key seattle-to-dallas"]),
        ask("anna", seattle, "/owa/bert@fourthcoffee.com/")
            .comes_to(
                "proxied to dallas, logged in",
                200,
                "seattle > dallas 441 241 200",
            )
            .says(&[
                "<dd>anna</dd>",
                "mailbox of bert@fourthcoffee.com",
                "<dd>Dallas</dd>",
            ]),
        ask("carla", seattle, "/owa/")
            .comes_to("passed on to legacy1", 200, "seattle > legacy1 200")
            .says(&[
                "<dd>carla</dd>",
                "<dd>legacy1</dd>",
                "<dd>GET /exchange/</dd>",
            ]),
        ask("dora", seattle, "/owa/")
            .comes_to("shown a link", 200, "seattle")
            .says(&[&link]),
        // She follows it.
        ask("dora", denver, "/owa")
            .comes_to("served here", 200, "denver")
            .says(&["<dd>dora</dd>", "<dd>Denver</dd>"]),
        ask("emil", seattle, "/owa/")
            .comes_to("refused, event 71", 502, "seattle > reno 401")
            .says(&["event 71"]),
        ask("fred", seattle, "/owa/")
            .comes_to("refused", 404, "seattle")
            .says(&["Outlook Web Access could not find a mailbox for fred."]),
        ask("gina", seattle, "/owa/")
            .comes_to("refused, event 41", 500, "seattle")
            .says(&[NOT_CONFIGURED]),
        ask("hugo", seattle, "/owa/")
            .comes_to("refused, event 40", 503, "seattle")
            .says(&[NOT_RESPONDING]),
        ask("ivan", seattle, "/owa/")
            .comes_to("refused, event 57", 503, "seattle")
            .says(&["event 57"]),
    ];
    let mut visits = Vec::new();
    for ask in script {
        visits.push(visit(company, exchanges, ask).await?);
    }
    Ok(visits)
}

async fn visit(
    company: &Company,
    exchanges: &mut UnboundedReceiver<Exchange>,
    ask: Ask,
) -> Result<Visit, BoxError> {
    let (status, page) = client::get(ask.server, ask.user, ask.path).await?;
    // Every server had noted its answer before it sent it, the one the user reached last of all.
    let mut seen = Vec::new();
    while let Ok(exchange) = exchanges.try_recv() {
        seen.push(exchange);
    }
    let user = USERS
        .iter()
        .find(|user| user.name == ask.user)
        .ok_or("find a user of the script")?;
    Ok(Visit {
        mailbox: company.whereabouts(user, ask.path).await?,
        decision: seen.last().map(Exchange::decision).unwrap_or_default(),
        status: status.as_u16(),
        hops: hops(&seen),
        exchanges: seen,
        page,
        ask,
    })
}

fn hops(seen: &[Exchange]) -> String {
    let Some((reached, further)) = seen.split_last() else {
        return String::new();
    };
    let mut hops = reached.server.to_owned();
    let mut before = reached.server;
    for exchange in further {
        if exchange.server != before {
            before = exchange.server;
            hops += &format!(" > {before}");
        }
        hops += &format!(" {}", exchange.status.as_u16());
    }
    hops
}

impl Visit {
    /// Why the user was not served, in the words of the log.
    pub(crate) fn failure(&self) -> Option<String> {
        match &self.exchanges.last()?.outcome {
            Some(Outcome::Refused(failure)) => Some(format!("failed to {failure}")),
            _ => None,
        }
    }

    /// What is not as it has to be, a line each.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let compare = |what: &str, is: &str, expected: &str| {
            (is != expected).then(|| format!("{what} is {is:?}, expected {expected:?}"))
        };
        let ask = &self.ask;
        let mut wrong = Vec::new();
        wrong.extend(compare("decision", &self.decision, ask.decision));
        wrong.extend(compare(
            "status",
            &self.status.to_string(),
            &ask.status.to_string(),
        ));
        wrong.extend(compare("way", &self.hops, ask.hops));
        let missing = ask.words.iter().filter(|&words| !self.page.contains(words));
        wrong.extend(missing.map(|words| format!("page does not say {words:?}")));
        wrong
    }
}

fn ask(user: &'static str, server: SocketAddr, path: &'static str) -> Ask {
    Ask {
        user,
        server,
        path,
        decision: "",
        status: 0,
        hops: "",
        words: Vec::new(),
    }
}

impl Ask {
    fn comes_to(mut self, decision: &'static str, status: u16, hops: &'static str) -> Self {
        (self.decision, self.status, self.hops) = (decision, status, hops);
        self
    }

    fn says(mut self, words: &[&str]) -> Self {
        self.words = words.iter().map(|&words| words.to_owned()).collect();
        self
    }
}
