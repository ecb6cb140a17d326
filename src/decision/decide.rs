use std::sync::Arc;

use crate::directory::{ClientAccessServer, ExternalUrl, Mailbox, Site, Topology};

use super::{
    Candidates, CrossSiteRedirect, Decision, Explanation, Here, Policy, Question, Refusal, Step,
    Verdict,
    candidates::Rules,
    explanation::{Recorder, Unrecorded},
};

/// Decides what `here` does with a request.
///
/// Pure and total: the same arguments give the same answer, and any arguments give one. It allocates nothing.
/// The example is [the module's](super).
#[must_use]
pub fn decide<'t>(
    here: &Here,
    policy: &Policy,
    topology: &'t Topology,
    question: &Question<'_>,
) -> Decision<'t> {
    judge(here, policy, topology, question, &mut Unrecorded)
}

/// Decides as [`decide`] does, by the same code, and says why.
#[must_use]
pub fn explain<'t>(
    here: &Here,
    policy: &Policy,
    topology: &'t Topology,
    question: &Question<'_>,
) -> (Decision<'t>, Explanation) {
    let mut explanation = Explanation::default();
    let decision = judge(here, policy, topology, question, &mut explanation);
    explanation.conclude(&decision);
    (decision, explanation)
}

/// The order of the questions is the protocol's: no rule may be moved above another.
fn judge<'t>(
    here: &Here,
    policy: &Policy,
    topology: &'t Topology,
    question: &Question<'_>,
    recorder: &mut impl Recorder,
) -> Decision<'t> {
    //= src/docs/protocol.md#decide-no-mailbox
    let Some(mailbox) = question.mailbox else {
        recorder.record(|| Step::NoMailbox);
        return Decision::Refuse(Refusal::NoMailbox);
    };
    recorder.record(|| Step::mailbox(mailbox));
    // Not even a 2007 CAS in its site can serve a 2003 mailbox.
    //= src/docs/protocol.md#decide-legacy
    let legacy = mailbox.version().is_legacy();
    if legacy {
        recorder.record(|| Step::Legacy);
    } else if is_local(here, mailbox) {
        recorder.record(|| Step::Local);
        return Decision::ServeLocally;
    }
    //= src/docs/protocol.md#decide-one-hop
    if question.from_cas {
        recorder.record(|| Step::FromCas);
        return Decision::Refuse(Refusal::WrongSite);
    }
    let own = topology.client_access_server(&here.name).map(AsRef::as_ref);
    if legacy {
        return to_back_end(own, policy, topology, question, mailbox, recorder);
    }
    //= src/docs/protocol.md#decide-none-responding
    let Some(site) = mailbox.site() else {
        recorder.record(|| Step::SiteUnknown);
        return Decision::Refuse(Refusal::NotResponding);
    };
    recorder.record(|| Step::Remote);
    let Some(site) = topology.site(site) else {
        recorder.record(|| Step::NoServers);
        return Decision::Refuse(Refusal::NotResponding);
    };
    let redirect = redirect_target(own, policy, question, site, recorder);
    if let Some(url) = redirect {
        let silent = policy.redirect == CrossSiteRedirect::Silent;
        return Decision::Redirect { url, silent };
    }
    to_candidates(&site.servers, Rules::new(own, here, policy), recorder)
}

/// Whether this server is in the mailbox's site, and may serve it. Nothing else has a say in that, so whoever asks no
/// more than this need not look at the topology.
pub(crate) fn is_local(here: &Here, mailbox: &Mailbox) -> bool {
    //= src/docs/protocol.md#decide-local
    !mailbox.version().is_legacy() && mailbox.site() == Some(&here.site)
}

fn to_back_end<'t>(
    own: Option<&ClientAccessServer>,
    policy: &Policy,
    topology: &'t Topology,
    question: &Question<'_>,
    mailbox: &Mailbox,
    recorder: &mut impl Recorder,
) -> Decision<'t> {
    //= src/docs/protocol.md#decide-legacy
    if question.owa_path && !policy.owa_to_back_end {
        recorder.record(|| Step::OwaNotMapped);
        return Decision::Refuse(Refusal::NoMailbox);
    }
    let back_end = topology.back_end(mailbox.server());
    let (decision, verdict) = match back_end {
        // Nobody is down, somebody has not been entered: waiting will not help, so not "not responding".
        None => (
            Decision::Refuse(Refusal::NotConfigured),
            Verdict::UnknownBackEnd,
        ),
        //= src/docs/protocol.md#back-end-identity
        Some(back_end) if !back_end.integrated_windows_authentication() => (
            Decision::Refuse(Refusal::BackEndNotConfigured),
            Verdict::BackEndNotConfigured,
        ),
        Some(back_end) if own.is_some_and(|own| own.answers_at(back_end.url().origin())) => (
            Decision::Refuse(Refusal::BackEndNotConfigured),
            Verdict::LeadsHere,
        ),
        Some(back_end) => (Decision::ProxyToBackEnd(back_end), Verdict::BackEnd),
    };
    recorder.record(|| Step::judged(mailbox.server(), verdict));
    decision
}

fn redirect_target<'t>(
    own: Option<&'t ClientAccessServer>,
    policy: &Policy,
    question: &Question<'_>,
    site: &'t Site,
    recorder: &mut impl Recorder,
) -> Option<&'t ExternalUrl> {
    if policy.redirect == CrossSiteRedirect::Never {
        recorder.record(|| Step::NeverRedirect);
        return None;
    }
    if !site.has_external_url && !recorder.listens() {
        return None;
    }
    let is_client_host = |url: &ExternalUrl| match question.client_host {
        Some(host) => url.same_host(host),
        None => own
            .and_then(|own| own.owa().redirect_target())
            .is_some_and(|own| own.origin() == url.origin()),
    };
    let mut servers = site.servers.iter();
    //= src/docs/protocol.md#decide-redirect
    let target = servers.by_ref().find_map(|server| {
        let (url, verdict) = match &server.owa().external_url {
            None => (None, Verdict::NoExternalUrl),
            Some(Err(error)) => (None, Verdict::ExternalUrlMalformed(error.kind())),
            Some(Ok(url)) if is_client_host(url) => (None, Verdict::ClientHost),
            Some(Ok(url)) => (Some(url), Verdict::RedirectTarget),
        };
        recorder.record(|| Step::judged(server.name(), verdict));
        url
    });
    if target.is_some() {
        for server in servers {
            recorder.record(|| Step::judged(server.name(), Verdict::ComesLater));
        }
    }
    target
}

fn to_candidates<'t>(
    servers: &'t [Arc<ClientAccessServer>],
    rules: Rules<'t>,
    recorder: &mut impl Recorder,
) -> Decision<'t> {
    let (mut fits, mut newer, mut plain) = (false, false, false);
    for server in servers {
        let verdict = rules.judge(server);
        match verdict {
            Verdict::Candidate => fits = true,
            Verdict::Newer => newer = true,
            Verdict::PlainHttp => plain = true,
            _ => {}
        }
        recorder.record(|| Step::judged(server.name(), verdict));
        // Whoever goes through the candidates judges the others.
        if fits && !recorder.listens() {
            break;
        }
    }
    if fits {
        //= src/docs/protocol.md#decide-proxy
        Decision::Proxy(Candidates::new(servers, rules))
    } else if newer {
        //= src/docs/protocol.md#version-rule
        Decision::Refuse(Refusal::IncompatibleVersions)
    } else if plain {
        //= src/docs/protocol.md#tls-required
        Decision::Refuse(Refusal::TlsRequired)
    } else {
        //= src/docs/protocol.md#decide-none-configured
        Decision::Refuse(Refusal::NotConfigured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::scene::*;
    use Refusal::*;

    #[test]
    //= src/docs/protocol.md#decide-no-mailbox
    fn a_user_without_a_mailbox_is_told_so() {
        check(
            no_mailbox(),
            cas("Dallas").internal_url(),
            refused(NoMailbox),
        );
        check(no_mailbox().by_cas(), no_cas(), refused(NoMailbox));
    }

    #[test]
    //= src/docs/protocol.md#decide-local
    fn a_mailbox_of_our_site_is_served_here() {
        check(mailbox("Seattle"), no_cas(), served_locally());
        check(mailbox("SEATTLE"), no_cas(), served_locally());
        check(mailbox("Seattle").by_cas(), no_cas(), served_locally());
        check(mailbox("Seattle").on(NEWER), no_cas(), served_locally());
        check(
            mailbox("Seattle").at_exchange_path(),
            no_cas(),
            served_locally(),
        );
        check(
            mailbox("Seattle").by_an_unlisted_server(),
            no_cas(),
            served_locally(),
        );
        check(
            mailbox("Seattle").under(silently()),
            cas("Seattle")
                .named("seattle-2")
                .internal_url()
                .external_url(),
            served_locally(),
        );
    }

    #[test]
    //= src/docs/protocol.md#decide-legacy
    fn a_2003_mailbox_goes_to_its_back_end_whoever_stands_in_its_site() {
        let legacy = |site| mailbox(site).on(EXCHANGE_2003);
        check(legacy("Dallas"), back_end(), passed_to_back_end());
        check(legacy("Seattle"), back_end(), passed_to_back_end());
        check(
            legacy("Dallas"),
            cas("Dallas").internal_url().external_url() + back_end(),
            passed_to_back_end(),
        );
        check(
            mailbox_of_unknown_site().on(EXCHANGE_2003),
            back_end(),
            passed_to_back_end(),
        );
        check(
            legacy("Dallas").at_exchange_path(),
            back_end(),
            passed_to_back_end(),
        );
        check(
            legacy("Dallas").under(never_redirect()),
            back_end(),
            passed_to_back_end(),
        );
        check(
            legacy("Dallas").by_an_unlisted_server(),
            back_end(),
            passed_to_back_end(),
        );
    }

    #[test]
    //= src/docs/protocol.md#decide-legacy
    fn owa_of_a_2003_mailbox_can_be_switched_off() {
        let legacy = mailbox("Dallas")
            .on(EXCHANGE_2003)
            .under(keep_owa_from_back_ends());
        check(legacy.clone(), back_end(), refused(NoMailbox));
        check(
            legacy.clone(),
            back_end_without_integrated(),
            refused(NoMailbox),
        );
        check(legacy.clone(), no_cas(), refused(NoMailbox));
        check(legacy.at_exchange_path(), back_end(), passed_to_back_end());
    }

    #[test]
    //= src/docs/protocol.md#back-end-identity
    fn a_back_end_that_is_not_set_up_gets_nothing() {
        let legacy = mailbox("Dallas").on(EXCHANGE_2003);
        check(legacy.clone(), no_cas(), refused(NotConfigured));
        check(
            legacy.clone(),
            cas("Dallas").named("mbx").internal_url(),
            refused(NotConfigured),
        );
        check(
            legacy.clone(),
            back_end_without_integrated(),
            refused(BackEndNotConfigured),
        );
        check(
            legacy.clone(),
            back_end_at("https://SEATTLE:443"),
            refused(BackEndNotConfigured),
        );
        check(
            legacy,
            back_end_at("https://mail"),
            refused(BackEndNotConfigured),
        );
    }

    #[test]
    //= src/docs/protocol.md#decide-redirect
    fn an_external_url_is_linked_to() {
        check(
            mailbox("Dallas"),
            cas("Dallas").external_url(),
            linked_to("https://mail-dallas/owa"),
        );
        check(
            mailbox("Dallas").on(NEWER),
            cas("Dallas")
                .version(NEWER)
                .external_url_is("http://mail-dallas/"),
            linked_to("http://mail-dallas"),
        );
        check(
            mailbox("Dallas").at_exchange_path(),
            cas("Dallas").named("one") + cas("Dallas").named("two").external_url(),
            linked_to("https://mail-two/owa"),
        );
    }

    #[test]
    //= src/docs/protocol.md#decide-redirect
    fn redirecting_wins_over_proxying() {
        let both = cas("Dallas").internal_url().external_url();
        check(
            mailbox("Dallas"),
            both.clone(),
            linked_to("https://mail-dallas/owa"),
        );
        check(
            mailbox("Dallas").under(silently()),
            both.clone(),
            redirected_to("https://mail-dallas/owa"),
        );
        check(
            mailbox("Dallas").under(never_redirect()),
            both,
            proxied_to("dallas"),
        );
        check(
            mailbox("Dallas"),
            cas("Dallas").named("one").internal_url() + cas("Dallas").named("two").external_url(),
            linked_to("https://mail-two/owa"),
        );
    }

    #[test]
    //= src/docs/protocol.md#decide-redirect
    fn nobody_is_redirected_to_the_host_already_used() {
        let shared = || {
            cas("Dallas")
                .internal_url()
                .external_url_is("https://mail/owa")
        };
        for policy in [Policy::default(), silently()] {
            let asked = mailbox("Dallas").under(policy);
            for host in ["mail", "MAIL", "mail:443", "mail."] {
                check(asked.clone().by_host(host), shared(), proxied_to("dallas"));
            }
            check(
                asked.clone().by_unknown_host(),
                shared(),
                proxied_to("dallas"),
            );
        }
        check(
            mailbox("Dallas").by_host("mail:8443"),
            shared(),
            linked_to("https://mail/owa"),
        );
        check(
            mailbox("Dallas").by_host("other"),
            shared(),
            linked_to("https://mail/owa"),
        );
        check(
            mailbox("Dallas").by_unknown_host(),
            cas("Dallas").external_url(),
            linked_to("https://mail-dallas/owa"),
        );
        check(
            mailbox("Dallas"),
            cas("Dallas").external_url_is("https://mail/owa"),
            refused(NotConfigured),
        );
        check(
            mailbox("Dallas"),
            shared() + cas("Dallas").named("two").external_url(),
            linked_to("https://mail-two/owa"),
        );
    }

    #[test]
    //= src/docs/protocol.md#decide-proxy
    fn an_internal_url_with_integrated_authentication_is_proxied_to() {
        check(
            mailbox("Dallas").on(EXCHANGE_2007),
            cas("Dallas").internal_url(),
            proxied_to("dallas"),
        );
        check(
            mailbox("dallas").at_exchange_path(),
            cas("DALLAS").internal_url(),
            proxied_to("dallas"),
        );
        check(
            mailbox("Dallas"),
            cas("Dallas").named("one").internal_url()
                + cas("Dallas")
                    .named("two")
                    .internal_url()
                    .without_integrated()
                + cas("Dallas").named("three")
                + cas("Denver").internal_url()
                + cas("Dallas").named("four").internal_url(),
            proxied_to_any(["one", "four"]),
        );
        check(
            mailbox("Dallas").by_an_unlisted_server(),
            cas("Dallas").internal_url(),
            proxied_to("dallas"),
        );
    }

    #[test]
    //= src/docs/protocol.md#decide-none-configured
    fn a_site_without_a_configured_server_is_reported() {
        for server in [
            cas("Dallas"),
            cas("Dallas").without_integrated(),
            cas("Dallas").internal_url().without_integrated(),
        ] {
            check(mailbox("Dallas"), server, refused(NotConfigured));
        }
        check(
            mailbox("Dallas").under(never_redirect()),
            cas("Dallas").external_url(),
            refused(NotConfigured),
        );
    }

    #[test]
    //= src/docs/protocol.md#decide-none-responding
    fn a_site_without_a_server_does_not_respond() {
        check(mailbox("Dallas"), no_cas(), refused(NotResponding));
        check(
            mailbox("Dallas"),
            cas("Denver").internal_url(),
            refused(NotResponding),
        );
        check(
            mailbox_of_unknown_site(),
            cas("Dallas").internal_url(),
            refused(NotResponding),
        );
    }

    #[test]
    //= src/docs/protocol.md#internal-url
    fn a_malformed_url_is_as_good_as_none() {
        check(
            mailbox("Dallas"),
            cas("Dallas").internal_url_is("https://dallas/"),
            refused(NotConfigured),
        );
        check(
            mailbox("Dallas"),
            cas("Dallas").internal_url().external_url_is("mail-dallas"),
            proxied_to("dallas"),
        );
        let (_, why) = mailbox("Dallas")
            .among(cas("Dallas").internal_url_is("x").external_url_is("x"))
            .explain();
        let events: Vec<_> = why
            .verdicts()
            .filter_map(|(_, verdict)| verdict.event())
            .collect();
        assert_eq!(events, [38, 38]);
    }

    #[test]
    //= src/docs/protocol.md#tls-required
    fn an_internal_url_without_tls_needs_the_policy() {
        let plain = || cas("Dallas").plain_internal_url();
        check(mailbox("Dallas"), plain(), refused(TlsRequired));
        check(
            mailbox("Dallas").under(without_ssl()),
            plain(),
            proxied_to("dallas"),
        );
        check(
            mailbox("Dallas"),
            plain().without_integrated(),
            refused(NotConfigured),
        );
        check(
            mailbox("Dallas"),
            plain() + cas("Dallas").named("two").internal_url(),
            proxied_to("two"),
        );
    }

    #[test]
    //= src/docs/protocol.md#version-rule
    fn a_newer_server_is_not_proxied_to() {
        let newer = || cas("Dallas").named("newer").version(NEWER);
        let older = || cas("Dallas").named("older").version("8.0.685.24");
        check(
            mailbox("Dallas"),
            newer().internal_url(),
            refused(IncompatibleVersions),
        );
        check(
            mailbox("Dallas"),
            older().internal_url(),
            proxied_to("older"),
        );
        check(
            mailbox("Dallas"),
            newer().internal_url() + older().internal_url(),
            proxied_to("older"),
        );
        check(
            mailbox("Dallas"),
            newer().plain_internal_url(),
            refused(IncompatibleVersions),
        );
        check(
            mailbox("Dallas"),
            older().plain_internal_url() + newer().internal_url(),
            refused(IncompatibleVersions),
        );
        check(
            mailbox("Dallas"),
            newer() + older().plain_internal_url(),
            refused(TlsRequired),
        );
        check(mailbox("Dallas"), newer(), refused(NotConfigured));
    }

    #[test]
    //= src/docs/protocol.md#hop-target
    fn a_url_that_leads_back_here_is_not_proxied_to() {
        for url in [
            "https://seattle/owa",
            "https://SEATTLE:443/OWA/",
            "https://mail/owa",
        ] {
            check(
                mailbox("Dallas"),
                cas("Dallas").internal_url_is(url),
                refused(NotConfigured),
            );
        }
        check(
            mailbox("Dallas"),
            cas("Dallas").internal_url_is("https://seattle:8443/owa"),
            proxied_to("dallas"),
        );
        check(
            mailbox("Dallas").by_an_unlisted_server(),
            cas("Dallas").named("seattle").internal_url()
                + cas("Dallas").named("two").internal_url(),
            proxied_to("two"),
        );
    }

    #[test]
    //= src/docs/protocol.md#decide-one-hop
    fn what_came_from_a_cas_goes_nowhere_else() {
        let everything = || cas("Dallas").internal_url().external_url() + back_end();
        check(mailbox("Dallas").by_cas(), everything(), refused(WrongSite));
        check(mailbox("Dallas").by_cas(), no_cas(), refused(WrongSite));
        check(
            mailbox_of_unknown_site().by_cas(),
            everything(),
            refused(WrongSite),
        );
        check(
            mailbox("Seattle").on(EXCHANGE_2003).by_cas(),
            everything(),
            refused(WrongSite),
        );
        check(
            mailbox("Seattle")
                .on(EXCHANGE_2003)
                .by_cas()
                .under(keep_owa_from_back_ends()),
            everything(),
            refused(WrongSite),
        );
    }

    #[test]
    fn an_explanation_names_every_server_of_the_site() {
        let servers = cas("Dallas")
            .named("one")
            .internal_url()
            .without_integrated()
            + cas("Dallas").named("two").external_url().internal_url()
            + cas("Dallas").named("three").external_url()
            + cas("Denver");
        let (_, why) = mailbox("Dallas").among(servers.clone()).explain();
        assert_eq!(
            why.to_string(),
            "mailbox on mbx, site Dallas, version 8.1.240.5 [decide-lookup]\n\
             site is not ours [decide-local]\n\
             one: no ExternalURL [decide-redirect]\n\
             two: has the ExternalURL to go to [decide-redirect]\n\
             three: not asked, another one comes first [decide-redirect]\n\
             so: show a link to https://mail-two/owa"
        );
        let (_, why) = mailbox("Dallas")
            .under(never_redirect())
            .among(servers)
            .explain();
        assert_eq!(
            why.to_string(),
            "mailbox on mbx, site Dallas, version 8.1.240.5 [decide-lookup]\n\
             site is not ours [decide-local]\n\
             policy never redirects [decide-redirect]\n\
             one: no Integrated Windows authentication [decide-proxy]\n\
             two: candidate [decide-proxy]\n\
             three: no InternalURL [decide-proxy]\n\
             so: proxy to two"
        );
        let (_, why) = mailbox("Dallas")
            .on(EXCHANGE_2003)
            .among(back_end())
            .explain();
        assert_eq!(
            why.to_string(),
            "mailbox on mbx, site Dallas, version 6.5.7638.1 [decide-lookup]\n\
             Exchange 2003 serves its mailboxes itself [decide-legacy]\n\
             mbx: back-end to go to [decide-legacy]\n\
             so: pass on to back-end mbx"
        );
    }
}
