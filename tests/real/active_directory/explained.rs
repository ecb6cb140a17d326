//! What the example `active_directory` prints for operators.

use std::process::Command;

use super::root;

#[test]
#[ignore = "needs samba"]
fn the_example_explains_what_is_done_for_a_user() {
    for (user, expected) in [
        (
            "anna@fourthcoffee.test",
            [
                "mailbox   on SEA-MBX-01 in Seattle",
                "site is ours [decide-local]",
                "so: serve locally",
            ],
        ),
        (
            r"FOURTHCOFFEE\bert",
            [
                "mailbox   on DAL-MBX-01 in Dallas",
                "CAS DAL-CAS-02 in Dallas",
                "so: proxy to DAL-CAS-01 or DAL-CAS-02",
            ],
        ),
        (
            // An address, and nobody who signs in.
            "bertram@fourthcoffee.test",
            [
                "taken for an address",
                "mailbox   on DAL-MBX-01 in Dallas",
                "so: proxy to DAL-CAS-01 or DAL-CAS-02",
            ],
        ),
    ] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet", "--example", "active_directory"]);
        if cfg!(feature = "negotiate") {
            // As the tests are built.
            cargo.arg("--all-features");
        }
        let output = cargo.args(["--", "explain", user]).current_dir(root());
        let output = output.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{user}: {said}{complained}");
        for line in expected {
            assert!(said.contains(line), "{user}: {line:?} is not in {said}");
        }
    }
}
