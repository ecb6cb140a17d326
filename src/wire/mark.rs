//! How the two layers tell one another that a request passed them: types of our own among its extensions. Nothing that
//! arrives over a connection can set one, and no code outside this crate can name one.

/// Left by `SecondCasLayer` on a request that a verified CAS sent for a user whose context it holds.
//= src/docs/protocol.md#decide-one-hop
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromCas;

/// Left by `CasProxyLayer` on every request it hands on, so that a `SecondCasLayer` below it, which then judges too
/// late, can tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassedFirstCas;
