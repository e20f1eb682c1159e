//! `tidemill:guest/http`.

use wasmtime::component::Linker;

use super::call::{Answer, Interface, Pending, answer};
use crate::bindings::wit::http::{Request, Response};
use crate::guest::{Guest, not_available};

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut http = Interface::new(linker, "http")?;
    http.wait("fetch", fetch)?;
    http.wait("fetch-all", fetch_all)
}

fn fetch(_guest: &mut Guest, (_request,): (Request,)) -> Pending<'_, Answer<Response>> {
    Box::pin(async move { answer(Err(not_available("http.fetch"))) })
}

fn fetch_all(_guest: &mut Guest, (requests,): (Vec<Request>,)) -> Pending<'_, Vec<Answer<Response>>> {
    Box::pin(async move { requests.iter().map(|_| answer(Err(not_available("http.fetch-all")))).collect() })
}
