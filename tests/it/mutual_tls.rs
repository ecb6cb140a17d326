//! The example `mutual_tls`: that only the right server gets through.

#[path = "../../examples/mutual_tls.rs"]
mod example;

#[tokio::test]
//= src/docs/protocol.md#login-caller
async fn a_certificate_with_the_right_name_gets_through_and_no_other() {
    let cases = example::play().await.unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        assert!(case.is_as_expected(), "{case}");
    }
}
