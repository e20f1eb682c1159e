//! Fixes of refusals in terms of commands. The host's own fixes speak of requests, because it does
//! not know the client.

use std::borrow::Cow;

use tidemill_core::Code;

/// Returns the host's fix for a code in terms of commands. A fix for one request stays as it is,
/// without paths.
pub fn for_command<'a>(code: &str, fix: &'a str) -> Cow<'a, str> {
    match Code::parse(code) {
        Some(code) if code.fix() == fix => own(code).map_or_else(|| without_requests(fix), Cow::Borrowed),
        _ => without_requests(fix),
    }
}

/// Returns the command's own text, if the code's fix is about requests.
const fn own(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::DeploymentInUse => "Wait for them, or delete it with --cancel-runs.",
        Code::DeploymentNotFound => "See `tidemill deployments list`, or make it with `tidemill deploy`.",
        Code::ModuleNotFound => "Upload it first: `tidemill deploy`.",
        Code::ComponentNotFound => "Upload it first: `tidemill deploy`; `tidemill modules list` lists the components.",
        Code::Unauthorized => {
            "Give the host's token: --token-file FILE, TIDEMILL_TOKEN_FILE, TIDEMILL_TOKEN, or a profile with token_file."
        }
        Code::PreconditionFailed => "Read it again, and apply your change to the current version.",
        Code::QueueFull | Code::Overloaded => "Call the command again in a moment.",
        Code::CircuitOpen => "Wait until the time in the message, or start it with `tidemill run`: then it waits.",
        Code::PathNotFound | Code::MethodNotAllowed | Code::BadHeader | Code::UnsupportedMediaType => {
            "Use a host of the version of this program: `tidemill --version`, and `tidemill doctor` for the host."
        }
        Code::InputInvalid | Code::BadField | Code::BadManifest => "Correct what is listed above.",
        Code::ComponentInUse => {
            "Delete or move the deployments that are listed above, wait for their runs, then try again."
        }
        Code::BadCursor => "Call the command again.",
        Code::UrlTooLong | Code::HeaderTooLarge => "Pass fewer or shorter arguments.",
        _ => return None,
    })
}

/// Removes paths of requests: in brackets, as in ` (`GET /v1/runs`)`, or as the last part of a
/// sentence.
fn without_requests(fix: &str) -> Cow<'_, str> {
    if let Some(start) = fix.find(" (`") {
        let rest = fix.get(start + 3..).unwrap_or_default();
        if let Some(end) = rest.find("`)").filter(|_| is_request(rest)) {
            let before = fix.get(..start).unwrap_or_default();
            let after = rest.get(end + 2..).unwrap_or_default();
            return Cow::Owned(format!("{before}{}", without_requests(after)));
        }
    }
    for joint in [": `", "; `"] {
        if let Some((before, rest)) = fix.split_once(joint)
            && is_request(rest)
        {
            return Cow::Owned(format!("{before}."));
        }
    }
    Cow::Borrowed(fix)
}

fn is_request(text: &str) -> bool {
    ["GET /", "PUT /", "POST /", "DELETE /"].iter().any(|method| text.starts_with(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fix_of_a_code_speaks_of_requests() {
        for code in Code::ALL {
            let fix = for_command(code.as_str(), code.fix());
            for word in [
                "GET /",
                "PUT /",
                "POST /",
                "DELETE /",
                "Retry-After",
                "ETag",
                "?runs",
                "Authorization",
                "openapi.json",
            ] {
                assert!(!fix.contains(word), "{code}: {fix}");
            }
        }
    }

    #[test]
    fn a_fix_for_one_request_is_kept() {
        assert_eq!(for_command("host/deployment-in-use", "Wait for run 7."), "Wait for run 7.");
        assert_eq!(for_command("host/run-not-found", Code::RunNotFound.fix()), "List runs with `tidemill runs list`.");
        assert_eq!(
            for_command("no-luck", "Try (`GET /x`) again (`tidemill runs retry`)."),
            "Try again (`tidemill runs retry`)."
        );
        assert_eq!(for_command("x", "Send what fits: `GET /v1/x` shows it."), "Send what fits.");
        assert_eq!(for_command("x", "Write it: `tidemill x`."), "Write it: `tidemill x`.");
    }
}
