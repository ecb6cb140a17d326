use http::header::{
    ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};

use super::*;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn audience(method: &Method, accept: Option<&str>) -> Audience {
    let mut headers = HeaderMap::new();
    if let Some(accept) = accept {
        headers.insert(ACCEPT, accept.parse().unwrap());
    }
    Audience::of(method, &headers)
}

fn body(answer: &Response<Bytes>) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}

fn html(page: &Page) -> Response<Bytes> {
    render(page, &audience(&Method::GET, Some(BROWSER)))
}

fn problem(page: &Page) -> serde_json::Value {
    let answer = render(page, &audience(&Method::GET, None));
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
    let document: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(document["status"], answer.status().as_u16());
    document
}

fn elsewhere(silent: bool) -> Page {
    Page::Redirect {
        url: "https://dallas.fourthcoffee.com/owa".parse().unwrap(),
        silent,
    }
}

fn every_page() -> Vec<(Page, u16)> {
    vec![
        (Page::NotResponding, 503),
        (Page::NotConfigured, 500),
        (
            Page::NoMailbox {
                name: r"FOURTHCOFFEE\anna".into(),
            },
            404,
        ),
        (Page::AmbiguousMailbox, 500),
        (Page::DirectoryUnreachable, 503),
        (Page::IdentityMissing, 401),
        (Page::RefusedCaller, 403),
        (Page::BadRequest, 400),
        (Page::LoginTooLarge, 413),
        (Page::TargetTooLong, 414),
        (Page::HeadTooLarge, 431),
        (Page::WrongSite, 421),
        (Page::CannotBeGivenAgain, 503),
        (Page::TooManyGroups, 500),
        (Page::SecondHop(SecondHop::Version), 502),
        (Page::SecondHop(SecondHop::Tls), 502),
        (Page::SecondHop(SecondHop::Authentication), 502),
        (Page::SecondHop(SecondHop::NeedIdentityAgain), 502),
        (Page::SecondHop(SecondHop::UnexpectedAnswer), 502),
        (Page::RequestTooSlow, 408),
        (Page::TimedOut, 504),
        (Page::Loop, 508),
        (Page::TooManyInFlight, 503),
        (Page::MethodNotAllowed { allow: "GET, HEAD" }, 405),
        (Page::UnsupportedMethod, 501),
        (Page::Internal, 500),
        (elsewhere(false), 200),
        (elsewhere(true), 302),
    ]
}

//= src/docs/protocol.md#error-status
#[test]
fn every_page_has_its_status_in_both_formats() {
    for (page, status) in every_page() {
        for accept in [BROWSER, "*/*", "application/problem+json"] {
            let answer = render(&page, &audience(&Method::GET, Some(accept)));
            // A redirect page is no problem document: a program is told that nothing was done.
            let status = if status == 200 && accept != BROWSER && accept != "*/*" {
                409
            } else {
                status
            };
            assert_eq!(answer.status(), status, "{page:?} for {accept}");
        }
    }
}

//= src/docs/protocol.md#error-status
#[test]
fn who_may_try_again_is_told_when() {
    for (page, seconds) in [
        (Page::NotResponding, Some("60")),
        (Page::DirectoryUnreachable, Some("30")),
        (Page::CannotBeGivenAgain, Some("1")),
        (Page::TooManyInFlight, Some("1")),
        (Page::NotConfigured, None),
        (Page::Loop, None),
    ] {
        let answer = html(&page);
        assert_eq!(
            answer
                .headers()
                .get(RETRY_AFTER)
                .map(|value| value.to_str().unwrap()),
            seconds,
            "{page:?}"
        );
    }
}

//= src/docs/protocol.md#error-not-responding
//= src/docs/protocol.md#error-not-configured
//= src/docs/protocol.md#decide-no-mailbox
#[test]
fn the_given_texts_arrive_byte_for_byte() {
    let rows: [(Page, &str); 3] = [
        (
            Page::NotResponding,
            "Outlook Web Access is not currently available for the user mailbox that you are trying to access. Please try again in a few minutes. If the problem continues, contact technical support for your organization and tell them the following: The available Microsoft Exchange Client Access servers in the target Active Directory site are not responding.",
        ),
        (
            Page::NotConfigured,
            "Outlook Web Access is not available. If the problem continues, contact technical support for your organization and tell them the following: There is no Microsoft Exchange Client Access server that has the necessary configuration in the Active Directory site where the mailbox is stored.",
        ),
        (
            Page::NoMailbox {
                name: r"FOURTHCOFFEE\anna".into(),
            },
            r"Outlook Web Access could not find a mailbox for FOURTHCOFFEE\anna.",
        ),
    ];
    for (page, text) in rows {
        assert!(
            body(&html(&page)).contains(&format!("<p>{text}</p>")),
            "{page:?}"
        );
        assert_eq!(problem(&page)["detail"], text, "{page:?}");
    }
}

#[test]
fn a_hostile_name_is_only_text() {
    let name = "<script>alert(\"1\")</script>'&\r\nX: y\u{202e}\u{0}";
    let page = Page::NoMailbox { name: name.into() };
    let answer = html(&page);
    let text = body(&answer);
    assert!(text.contains(
        "for &lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;\u{fffd}\u{fffd}X: y\u{fffd}\u{fffd}.</p>"
    ));
    assert!(!text.contains("<script"));
    let detail = problem(&page)["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.starts_with("Outlook Web Access could not find a mailbox for <script>"),
        "{detail}"
    );
    assert!(!detail.contains(char::is_control));
}

#[test]
fn a_name_without_end_is_cut() {
    let page = Page::NoMailbox {
        name: "é".repeat(100_000),
    };
    assert!(html(&page).body().len() < 6_000);
    assert!(problem(&page)["detail"].as_str().unwrap().ends_with("éé…."));
}

#[test]
fn pages_are_inert() {
    for (page, _) in every_page() {
        let answer = html(&page);
        let headers = answer.headers();
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        for part in [
            "default-src 'none';",
            "base-uri 'none';",
            "form-action 'none';",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(headers[REFERRER_POLICY], "no-referrer");
        let text = body(&answer);
        for forbidden in [
            "<script",
            "<img",
            "<form",
            "<link",
            "<iframe",
            "javascript:",
            " style=",
            " onclick",
        ] {
            assert!(!text.contains(forbidden), "{page:?} has {forbidden}");
        }
        assert_eq!(text.matches("<h1>").count(), 1);
        assert!(text.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    }
}

#[test]
fn head_gets_the_same_headers_and_no_body() {
    for (page, _) in every_page() {
        for accept in [BROWSER, "*/*"] {
            let get = render(&page, &audience(&Method::GET, Some(accept)));
            let head = render(&page, &audience(&Method::HEAD, Some(accept)));
            assert_eq!(get.headers(), head.headers());
            assert_eq!(get.status(), head.status());
            assert_eq!(get.headers()[CONTENT_LENGTH], get.body().len().to_string());
            assert!(head.body().is_empty());
        }
    }
}

#[test]
fn support_is_told_event_and_reference() {
    let told = |accept| {
        audience(&Method::GET, accept)
            .with_event(40)
            .with_reference(0xbeef)
    };
    let page = render(&Page::NotResponding, &told(Some(BROWSER)));
    assert!(body(&page).contains(
        "For technical support: status 503, event 40, reference <code>000000000000beef</code></p>"
    ));
    let page = render(&Page::NotResponding, &told(None));
    let document: serde_json::Value = serde_json::from_slice(page.body()).unwrap();
    assert_eq!(document["event"], 40);
    assert_eq!(document["reference"], "000000000000beef");
    assert_eq!(document["title"], "Service Unavailable");
    assert_eq!(document["type"], "about:blank");
    assert_eq!(document["code"], "not-responding");
}

//= src/docs/protocol.md#decide-redirect
#[test]
fn the_manual_redirect_is_a_page_with_a_link() {
    for accept in [Some(BROWSER), Some("*/*"), None] {
        let answer = render(&elsewhere(false), &audience(&Method::GET, accept));
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().get(LOCATION).is_none());
        assert!(body(&answer).contains("<a href=\"https://dallas.fourthcoffee.com/owa\">"));
    }
    // What would have changed something was not done, and must not look as if it was.
    assert_eq!(
        render(&elsewhere(false), &audience(&Method::POST, Some(BROWSER))).status(),
        409
    );
    let document = render(
        &elsewhere(false),
        &audience(&Method::GET, Some("application/json")),
    );
    let document: serde_json::Value = serde_json::from_slice(document.body()).unwrap();
    assert_eq!(document["status"], 409);
    assert_eq!(
        document["external_url"],
        "https://dallas.fourthcoffee.com/owa"
    );
}

//= src/docs/protocol.md#decide-redirect
#[test]
fn the_silent_redirect_keeps_the_method() {
    for (method, status) in [
        (Method::GET, 302),
        (Method::HEAD, 302),
        (Method::POST, 307),
        (Method::PUT, 307),
    ] {
        let answer = render(&elsewhere(true), &audience(&method, Some(BROWSER)));
        assert_eq!(answer.status(), status, "{method}");
        assert_eq!(
            answer.headers()[LOCATION],
            "https://dallas.fourthcoffee.com/owa"
        );
    }
}

#[test]
fn a_method_that_is_not_there_names_those_that_are() {
    assert_eq!(
        html(&Page::MethodNotAllowed { allow: "GET, HEAD" }).headers()[ALLOW],
        "GET, HEAD"
    );
}
