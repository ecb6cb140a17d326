//! The first CAS: the layer that decides for each request who serves it, and sees to it.

mod admit;
mod answer;
mod attempt;
mod back_end;
mod back_end_trip;
mod body;
mod config;
mod exchange;
mod failure;
mod layer;
mod login;
mod logins;
mod own_names;
mod pipeline;
mod report;
mod second_hop;
mod service;
mod settings;
mod trip;
mod visit;

pub use back_end::{BackEndCredentials, NoBackEndCredentials, forward_basic};
pub use body::ResponseBody;
pub use layer::CasProxyLayer;
pub use service::{CasProxy, ResponseFuture};
pub use settings::{Limits, Timeouts};
