//! What `gateway` says about a configuration that is wrong: one line, with file, line, key and what was expected.

use std::{fs, path::Path, time::Duration};

use super::{
    LEAST,
    config::{Config, Directory, Host, Redirect, Trust},
    folder, load,
};

/// `text` comes after five good lines.
#[track_caller]
fn refused(text: &str, expected: &str) {
    let problem = load(&format!("{LEAST}{text}")).unwrap_err();
    assert_eq!(problem.lines().count(), 1, "{problem}");
    assert_eq!(problem, format!("gateway.toml:{expected}"));
}

#[test]
fn five_lines_are_enough() {
    let config = load(LEAST).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:0");
    assert_eq!(config.server.name.as_str(), "seattle");
    assert!(
        config.tls.server.is_none() && config.first_cas.is_none() && config.second_cas.is_none()
    );
    assert!(config.cas.is_empty() && config.back_end.is_empty() && config.user.is_empty());
    assert!(!config.policy.allow_proxying_without_ssl);
    assert_eq!(config.policy.redirect, Redirect::Manual);
    let timeouts = config.timeouts;
    let seconds = [
        timeouts.request_head,
        timeouts.locate,
        timeouts.connect,
        timeouts.login,
        timeouts.response_head,
        timeouts.idle,
    ];
    assert_eq!(seconds.map(|phase| phase.as_secs()), [10, 5, 2, 10, 30, 60]);
}

#[test]
fn everything_can_be_said() {
    let config = load(
        r#"
listen = "127.0.0.1:8080"
[server]
name = "seattle"
site = "Seattle"
version = "8.3.83.6"
external_url = "https://mail.fourthcoffee.com/owa"
internal_url = "http://127.0.0.1:8080/owa"
hosts = ["mail.fourthcoffee.com", "localhost:8080"]
[policy]
allow_proxying_without_ssl = true
redirect = "silent"
[timeouts]
request_head = 1
locate = 0.25
[[cas]]
name = "dallas"
site = "Dallas"
version = "8.3.83.6"
internal_url = "http://127.0.0.1:9001/owa"
external_url = "https://dallas.fourthcoffee.com/owa"
integrated_windows_authentication = true
[[cas]]
name = "nameless"
[[back_end]]
name = "legacy1"
url = "http://127.0.0.1:9003"
integrated_windows_authentication = true
forward_basic = true
[[user]]
name = "anna"
password = "secret"
sid = "S-1-5-21-1004336348-1177238915-682003330-1001"
groups = ["S-1-5-21-1004336348-1177238915-682003330-513"]
address = "anna@fourthcoffee.com"
mailbox = { server = "chicago", site = "Dallas", version = "8.3.83.6" }
[[user]]
name = "bert"
password = "secret"
sid = "S-1-5-21-1004336348-1177238915-682003330-1002"
directory = "down"
[first_cas]
shared_key = { id = "seattle", secret_file = "seattle.key" }
[second_cas]
shared_keys = [{ id = "seattle", secret_file = "seattle.key" }]
"#,
    )
    .unwrap();
    assert_eq!(
        config
            .server
            .hosts
            .iter()
            .map(Host::as_str)
            .collect::<Vec<_>>(),
        ["mail.fourthcoffee.com", "localhost:8080"]
    );
    assert_eq!(config.policy.redirect, Redirect::Silent);
    assert_eq!(config.timeouts.locate, Duration::from_millis(250));
    assert_eq!(config.timeouts.connect, Duration::from_secs(2));
    assert_eq!(config.cas.len(), 2);
    assert!(config.back_end[0].forward_basic);
    let anna = config.user[0].context().unwrap();
    assert_eq!(
        (
            anna.logon_name(),
            anna.authentication_type(),
            anna.groups().len()
        ),
        ("anna", "Basic", 1)
    );
    assert_eq!(config.user[1].directory, Some(Directory::Down));
    assert!(matches!(&config.first_cas, Some(Trust::Shared(key)) if key.id() == "seattle"));
    assert!(matches!(&config.second_cas, Some(Trust::Shared(keys)) if keys.len() == 1));
    assert!(
        !format!("{config:?}").contains("secret\""),
        "no password in Debug"
    );
}

#[test]
fn the_sample_is_a_good_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gateway/gateway.toml");
    let config = Config::load(&file).unwrap();
    assert_eq!(config.user.len(), 2);

    // With every key that is commented out, too. A comment of words has a space behind its sign.
    let everything = fs::read_to_string(file)
        .unwrap()
        .replace("\n#", "\n")
        .replace("\n ", "\n# ");
    let folder = folder();
    let certificate =
        rcgen::generate_simple_self_signed(["mail.fourthcoffee.com".to_owned()]).unwrap();
    fs::write(folder.join("seattle.pem"), certificate.cert.pem()).unwrap();
    fs::write(
        folder.join("seattle.key.pem"),
        certificate.signing_key.serialize_pem(),
    )
    .unwrap();
    fs::write(folder.join("dallas-ca.pem"), certificate.cert.pem()).unwrap();
    fs::write(folder.join("gateway.toml"), everything).unwrap();
    let config = Config::load(&folder.join("gateway.toml")).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(config.timeouts.idle.as_secs(), 60);
    assert!(config.tls.server.is_some() && config.tls.trust_roots.is_some());
    assert!(config.first_cas.is_some() && config.second_cas.is_some());
    assert_eq!(config.user[1].directory, Some(Directory::Down));
}

#[test]
fn labs_may_use_a_password() {
    let config = load(&format!(
        "{LEAST}[first_cas]\ndanger_basic = \"seattle:lab\"\n[second_cas]\ndanger_basic = \"seattle:lab\"\n"
    ));
    let config = config.unwrap();
    assert!(
        matches!(&config.first_cas, Some(Trust::DangerBasic(basic)) if basic.expose() == "seattle:lab")
    );
    assert!(matches!(config.second_cas, Some(Trust::DangerBasic(_))));
}

#[test]
fn a_file_that_is_not_there() {
    let problem = Config::load(Path::new("/nowhere/gateway.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        problem.starts_with("/nowhere/gateway.toml: expected a readable TOML file: No such file"),
        "{problem}"
    );
    refused(
        "[first_cas]\nshared_key = { id = \"seattle\", secret_file = \"gone.key\" }\n",
        "7: first_cas.shared_key.secret_file: expected a readable file, found gone.key: No such file or directory (os error 2)",
    );
    refused(
        "[second_cas]\nshared_keys = [\n{ id = \"a\", secret_file = \"seattle.key\" },\n{ id = \"b\", secret_file = \"gone.key\" },\n]\n",
        "9: second_cas.shared_keys[1].secret_file: expected a readable file, found gone.key: No such file or directory (os error 2)",
    );
    refused(
        "[tls]\ntrust_roots = \"gone.pem\"\n",
        "7: tls.trust_roots: expected a readable file, found gone.pem: No such file or directory (os error 2)",
    );
}

#[test]
fn keys_that_are_missing_or_unknown() {
    let missing = |text: &str| load(text).unwrap_err();
    assert_eq!(
        missing(""),
        "gateway.toml:1: expected the key `listen`, which is missing"
    );
    assert_eq!(
        missing(
            "listen = \"127.0.0.1:0\"\n\n[server]\nname = \"seattle\"\nversion = \"8.3.83.6\"\n"
        ),
        "gateway.toml:3: server: expected the key `site`, which is missing"
    );
    refused(
        "[[cas]]\nsite = \"Dallas\"\n",
        "6: cas[0]: expected the key `name`, which is missing",
    );
    refused(
        "[[user]]\nname = \"a\"\nsid = \"S-1-5-21-1-2-3-4\"\n",
        "6: user[0]: expected the key `password`, which is missing",
    );
    refused(
        "[[user]]\nname = \"a\"\npassword = \"p\"\n",
        "6: user[0]: expected the key `sid`, which is missing",
    );
    refused(
        "[tsl]\n",
        "6: tsl: unknown key `tsl`, expected one of `listen`, `server`, `tls`, `policy`, `timeouts`, `directory`, `cas`, `back_end`, `user`, `first_cas`, `second_cas`",
    );
    refused(
        "extenal_url = \"x\"\n",
        "6: server.extenal_url: unknown key `extenal_url`, expected one of `name`, `site`, `version`, `external_url`, `internal_url`, `hosts`",
    );
    refused(
        "[[back_end]]\nname = \"a\"\n[[back_end]]\nname = \"b\"\nUrl = \"http://b\"\n",
        "10: back_end[1].Url: unknown key `Url`, expected one of `name`, `url`, `integrated_windows_authentication`, `forward_basic`",
    );
    refused(
        "[policy]\nredirects = \"never\"\n",
        "7: policy.redirects: unknown key `redirects`, expected `allow_proxying_without_ssl` or `redirect`",
    );
    refused(
        "[timeouts]\ntotal = 1\n",
        "7: timeouts.total: unknown key `total`, expected one of `request_head`, `locate`, `connect`, `login`, `response_head`, `idle`",
    );
}

#[test]
fn values_of_another_kind() {
    refused(
        "hosts = \"mail.fourthcoffee.com\"\n",
        "6: server.hosts: expected a list, found string \"mail.fourthcoffee.com\"",
    );
    refused(
        "internal_url = 5\n",
        "6: server.internal_url: expected an InternalURL such as https://cas.example.com/owa, found integer `5`",
    );
    refused(
        "[policy]\nredirect = \"maybe\"\n",
        "7: policy.redirect: expected one of `manual`, `silent`, `never`, found `maybe`",
    );
    refused(
        "[policy]\nallow_proxying_without_ssl = \"yes\"\n",
        "7: policy.allow_proxying_without_ssl: expected a boolean, found string \"yes\"",
    );
    for seconds in ["0", "-1", "nan", "inf", "86401", "\"5\""] {
        refused(
            &format!("[timeouts]\nidle = {seconds}\n"),
            "7: timeouts.idle: expected seconds, from 0.001 to 86400",
        );
    }
    refused(
        "[[user]]\nname = \"a\"\nsid = \"S-1-5-21-1-2-3-4\"\npassword = 12345\n",
        "9: user[0].password: expected text in quotes",
    );
}

#[test]
fn values_that_are_malformed() {
    let listen = |listen: &str| load(&LEAST.replace("127.0.0.1:0", listen)).unwrap_err();
    assert!(listen("localhost:80").starts_with(
        "gateway.toml:1: listen: expected an address and a port such as 127.0.0.1:8080: "
    ));
    let version = load(&LEAST.replace("8.3.83.6", "8.3")).unwrap_err();
    assert!(
        version.starts_with(
            "gateway.toml:5: server.version: expected an Exchange version such as 8.3.83.6: "
        ),
        "{version}"
    );
    refused(
        "internal_url = \"https://u:p@dallas/owa\"\n",
        "6: server.internal_url: expected an InternalURL such as https://cas.example.com/owa: URL has user info",
    );
    refused(
        "[[cas]]\nname = \"dallas\"\nexternal_url = \"javascript:alert(1)\"\n",
        "8: cas[0].external_url: expected an ExternalURL such as https://mail.example.com/owa: URL is not an absolute http or https one",
    );
    refused(
        "[[back_end]]\nname = \"legacy1\"\nurl = \"http://legacy1/exchange\"\n",
        "8: back_end[0].url: expected the URL of a back-end such as https://exchange2003.example.com: URL has a path that does not fit: it is /owa for an InternalURL, none for a back-end",
    );
    refused(
        "[[user]]\nname = \"a:b\"\n",
        "7: user[0].name: expected the name of a user: HTTP Basic has no way to send a colon",
    );
    for hosts in ["\"a b\"", "\"u@h\"", "\"\"", "\":80\""] {
        let problem = load(&format!("{LEAST}hosts = [{hosts}]\n")).unwrap_err();
        assert!(
            problem.starts_with("gateway.toml:6: server.hosts[0]: expected a host, with its port"),
            "{problem}"
        );
    }
    for sid in [
        "s-1-5-21-1-2-3-4",
        "S-1-5-21-1-2-3-04",
        "S-1-5",
        "",
        "anna",
        "S-1-5-21-1-2-3-4 ",
        "S-1-5-21-1-2-3-4\\n",
    ] {
        let problem = load(&format!(
            "{LEAST}[[user]]\nname = \"a\"\npassword = \"p\"\nsid = \"{sid}\"\n"
        ))
        .unwrap_err();
        assert!(
            problem.starts_with("gateway.toml:9: user[0].sid: expected a SID such as S-1-5-21-"),
            "{problem}"
        );
        assert_eq!(problem.lines().count(), 1);
    }
    let group = load(&format!(
        "{LEAST}[[user]]\nname = \"a\"\npassword = \"p\"\nsid = \"S-1-5-21-1-2-3-4\"\ngroups = [\n\"S-1-1-0\",\n\"all\",\n]\n"
    ));
    let problem = group.unwrap_err();
    assert!(
        problem.starts_with("gateway.toml:12: user[0].groups[1]: expected a SID such as "),
        "{problem}"
    );
    let address = load(&format!(
        "{LEAST}[[user]]\nname = \"a\"\npassword = \"p\"\nsid = \"S-1-1-0\"\naddress = \"anna\"\n"
    ));
    assert!(
        address
            .unwrap_err()
            .starts_with("gateway.toml:10: user[0].address: expected an SMTP address")
    );
    let mailbox = "[[user]]\nname = \"a\"\npassword = \"p\"\nsid = \"S-1-1-0\"\nmailbox = { server = \"\", version = \"8\" }\n";
    let problem = load(&format!("{LEAST}{mailbox}")).unwrap_err();
    assert!(
        problem
            .starts_with("gateway.toml:10: user[0].mailbox.server: expected the name of a server"),
        "{problem}"
    );
    refused(
        "[[user]]\nname = \"a\"\npassword = \"p\"\nsid = \"S-1-1-0\"\ndirectory = \"up\"\n",
        "10: user[0].directory: expected `down`, found `up`",
    );
}

#[test]
fn values_that_contradict_one_another() {
    refused(
        "[[cas]]\nname = \"dallas\"\n[[cas]]\nname = \"DALLAS\"\n",
        "9: cas[1].name: expected a value that no other entry has",
    );
    let user = |name: &str, rid: u32| {
        format!("[[user]]\nname = \"{name}\"\npassword = \"p\"\nsid = \"S-1-5-21-1-2-3-{rid}\"\n")
    };
    refused(
        &(user("a", 1) + &user("a", 2)),
        "11: user[1].name: expected a value that no other entry has",
    );
    refused(
        &(user("a", 1) + &user("b", 1)),
        "13: user[1].sid: expected a value that no other entry has",
    );
    refused(
        "[tls]\ncertificate = \"a.pem\"\n",
        "7: tls.certificate: expected tls.key beside it",
    );
    refused(
        "[tls]\nkey = \"a.pem\"\n",
        "7: tls.key: expected tls.certificate beside it",
    );
    refused(
        "[first_cas]\n",
        "6: first_cas: expected either shared_key or danger_basic",
    );
    refused(
        "[first_cas]\ndanger_basic = \"a:b\"\nshared_key = { id = \"seattle\", secret_file = \"seattle.key\" }\n",
        "6: first_cas: expected either shared_key or danger_basic",
    );
    refused(
        "[first_cas]\ndanger_basic = \"password\"\n",
        "7: first_cas.danger_basic: expected user:password",
    );
    refused(
        "[second_cas]\n",
        "6: second_cas: expected either shared_keys, at least one, or danger_basic",
    );
    refused(
        "[second_cas]\nshared_keys = []\n",
        "6: second_cas: expected either shared_keys, at least one, or danger_basic",
    );
    let twice = "{ id = \"a\", secret_file = \"seattle.key\" }";
    refused(
        &format!("[second_cas]\nshared_keys = [{twice},\n{twice}]\n"),
        "8: second_cas.shared_keys[1].id: expected a value that no other entry has",
    );
    refused(
        "[first_cas]\nshared_key = { id = \"sea ttle\", secret_file = \"seattle.key\" }\n",
        "7: first_cas.shared_key.id: expected a shared key: key id is not 1 to 64 letters, digits or `-._:@/+`",
    );
}

#[test]
fn toml_that_is_none() {
    for text in [
        "[server\n",
        "name == 1\n",
        "name = \"unclosed\n",
        "\u{0}\n",
        "site = \"twice\"\n",
        "[[server]]\n",
        "[server]\n",
    ] {
        let problem = load(&format!("{LEAST}{text}")).unwrap_err();
        assert_eq!(problem.lines().count(), 1, "{problem}");
        assert!(problem.starts_with("gateway.toml:6: "), "{problem}");
    }
}

#[test]
fn certificates_are_tried_on() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = folder();
    let file = folder.join("gateway.toml");
    let load = |certificate: &str, key: &str| {
        fs::write(folder.join("certificate.pem"), certificate).unwrap();
        fs::write(folder.join("key.pem"), key).unwrap();
        let tls = "[tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\ntrust_roots = \"certificate.pem\"\n";
        fs::write(&file, format!("{LEAST}{tls}")).unwrap();
        Config::load(&file).map_err(|problem| problem.to_string())
    };
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let config = load(&certificate, &key).unwrap();
    assert_eq!(
        config.tls.server.unwrap().alpn_protocols,
        [b"h2".to_vec(), b"http/1.1".to_vec()]
    );
    assert!(config.tls.trust_roots.is_some());
    for (certificate, key, expected) in [
        (
            &*certificate,
            &*other.signing_key.serialize_pem(),
            ":8: tls.key: expected the PEM key of tls.certificate: ",
        ),
        (
            &certificate,
            "no key",
            ":8: tls.key: expected the PEM key of tls.certificate: ",
        ),
        (
            "no certificate",
            &key,
            ":7: tls.certificate: expected a PEM file with a certificate: it has none",
        ),
    ] {
        let problem = load(certificate, key).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
        assert_eq!(problem.lines().count(), 1, "{problem}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_directory_takes_the_place_of_the_lists() {
    let authority = rcgen::generate_simple_self_signed(["dc1".to_owned()]).unwrap();
    let folder = folder();
    let file = folder.join("gateway.toml");
    fs::write(
        folder.join("directory.password"),
        "secret-of-the-directory\n",
    )
    .unwrap();
    fs::write(folder.join("empty"), "\n").unwrap();
    fs::write(folder.join("ca.pem"), authority.cert.pem()).unwrap();
    let load = |directory: &str, rest: &str| {
        fs::write(&file, format!("{LEAST}[directory]\n{directory}\n{rest}")).unwrap();
        Config::load(&file).map_err(|problem| problem.to_string())
    };
    let urls = "urls = [\"ldaps://dc1\", \"ldap://dc2:389\"]";
    let bind = "bind = { name = \"svc\", password_file = \"directory.password\" }";
    let least = format!("{urls}\n{bind}");
    let all =
        format!("{least}\nbase = \"DC=contoso,DC=com\"\nrefresh = 60\ntrust_roots = \"ca.pem\"");
    for good in [&least, &all] {
        let config = load(good, "").unwrap();
        let shown = format!("{:?}", config.directory.unwrap());
        assert!(
            shown.contains("ldaps://dc1") && !shown.contains("secret"),
            "{shown}"
        );
    }
    let empty = "bind = { name = \"svc\", password_file = \"empty\" }";
    let missing = "bind = { name = \"svc\", password_file = \"missing\" }";
    for (directory, rest, expected) in [
        (
            &*format!("urls = []\n{bind}"),
            "",
            "directory.urls: expected at least one domain controller",
        ),
        (
            &format!("urls = [\"https://dc1\"]\n{bind}"),
            "",
            "directory.urls: expected domain controllers: domain controller is not ldaps://host",
        ),
        (
            &format!("{urls}\n{empty}"),
            "",
            "directory.bind: expected a file with a password",
        ),
        (
            &format!("{urls}\n{missing}"),
            "",
            "directory.bind.password_file: expected a readable file",
        ),
        (
            &format!("{least}\ntrust_roots = \"empty\""),
            "",
            "directory.trust_roots: expected a PEM file with a certificate",
        ),
        (urls, "", "directory: expected the key `bind`"),
        (
            &least,
            "[[cas]]\nname = \"dallas\"",
            "cas[0].name: expected nothing: [directory] knows",
        ),
        (
            &least,
            "[[back_end]]\nname = \"old\"\nurl = \"http://old\"",
            "back_end[0].url: expected nothing: [directory] knows",
        ),
        (
            &least,
            "[[user]]\nname = \"anna\"\npassword = \"x\"\nsid = \"S-1-5-21-1-2-3-1\"",
            "user[0].name: expected nothing: [directory] knows",
        ),
    ] {
        let problem = load(directory, rest).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
        assert_eq!(problem.lines().count(), 1, "{problem}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
