//! The list of codes, and nothing else. `codes/mod.rs` says how to add one.

use super::codes;

codes! {
    // Limits: how much one run may use.
    LimitFuel => "limit-fuel", 422, retryable: false,
        "The run used up its fuel",
        "Raise `fuel` under `[limits]` in the manifest, or let the module do less in one run.";
    LimitMemory => "limit-memory", 422, retryable: false,
        "The run asked for more memory than it may have",
        "Raise `memory` under `[limits]` in the manifest, or hold less in memory at once.";
    LimitActive => "limit-active", 422, retryable: false,
        "The run was active for too long",
        "Raise `active` under `[limits]`, or split the work into more runs.";
    LimitLifetime => "limit-lifetime", 422, retryable: false,
        "The run did not end within its lifetime",
        "Raise or remove `lifetime` under `[limits]`.";
    LimitOutput => "limit-output", 422, retryable: false,
        "The run's output is too large",
        "Put large results into `state` or a file service, and answer with a reference to them.";
    LimitInput => "limit-input", 413, retryable: false,
        "The run's input is too large",
        "Send a reference (a URL, a key in `state`) instead of the data itself.";
    LimitLog => "limit-log", 422, retryable: false,
        "A log line is too large",
        "Log less at once: a line and its fields may hold 64 KiB.";
    LimitJournal => "limit-journal", 422, retryable: false,
        "The run's journal is too large",
        "Raise `journal` under `[limits]`, put loops into steps, or let an endless run continue as new.";
    LimitHttp => "limit-http", 422, retryable: false,
        "The run used HTTP more than it may",
        "Raise `http_calls` or `http_bytes` under `[limits]`; the message says which.";
    LimitHttpBody => "limit-http-body", 422, retryable: false,
        "An HTTP body is too large",
        "Ask for smaller pages: a body may hold 4 MiB, the answers of one `fetch-all` 6 MiB together.";
    LimitStateKey => "limit-state-key", 422, retryable: false,
        "A state key is too long",
        "Use keys of 1 to 512 bytes.";
    LimitStateValue => "limit-state-value", 422, retryable: false,
        "A state value is too large",
        "Split the value over several keys: each may hold 1 MiB.";
    LimitHostCall => "limit-host-call", 422, retryable: false,
        "Too much was passed to one host call",
        "Pass less at once: the arguments of one call may hold 8 MiB in all.";
    LimitRandom => "limit-random", 422, retryable: false,
        "Too many random bytes were asked for at once",
        "Ask for at most 65,536 bytes a call.";
    LimitCommit => "limit-commit", 422, retryable: false,
        "The run writes too much at once",
        "Write less in one run, or in smaller parts: 16 MiB and 10,000 keys between two commits, 32 MiB in one commit.";
    LimitSignals => "limit-signals", 422, retryable: true,
        "The run's inbox takes no such signal",
        "Let the run take what waits for it: at most 1,000 signals and 1 MiB, 64 KiB each, names of up to 255 bytes.";
    LimitGrace => "limit-grace", 422, retryable: false,
        "The run did not end within the grace period of its cancellation",
        "Look at what the run could not undo; let its compensation do less, or in fewer and shorter steps.";
    LimitTopics => "limit-topics", 422, retryable: false,
        "There is no room for another topic",
        "Publish to fewer topics, and say in the payload what tells the events apart; `tidemill topics delete` removes one.";
    LimitChildren => "limit-children", 422, retryable: false,
        "The run may start no more runs",
        "Wait for some of the runs that it started, start them detached, or nest them less deeply.";
    QuotaRuns => "quota-runs", 429, retryable: true,
        "The deployment keeps as many runs as it may",
        "Wait until retention has forgotten some, shorten `--retention`, or raise `runs` in `--quotas`.";
    QuotaState => "quota-state", 422, retryable: false,
        "The deployment's state is as large as it may be",
        "Delete what is no longer needed, or raise `state` in `--quotas`.";
    QuotaPayloads => "quota-payloads", 429, retryable: true,
        "The deployment's payloads are as large as they may be",
        "Wait until retention has forgotten some, shorten `--retention`, or raise `payloads` in `--quotas`.";
    QuotaLogs => "quota-logs", 429, retryable: true,
        "The deployment's log lines are as large as they may be",
        "Log less, wait until retention has forgotten some, or raise `logs` in `--quotas`.";
    QuotaEvents => "quota-events", 429, retryable: true,
        "The deployment keeps as many events as it may",
        "Wait until retention has forgotten some, shorten `--event-retention`, or raise `events` in `--quotas`.";
    // Ends: how else a run may end.
    Trap => "trap", 422, retryable: false,
        "The guest trapped",
        "Read the guest's own stack in `details` and the last log lines, and correct the module.";
    Exited => "exited", 422, retryable: false,
        "The guest called exit",
        "Return a result or a failure from the export instead of ending the process.";
    StackOverflow => "stack-overflow", 422, retryable: false,
        "The guest's stack overflowed",
        "Bound the recursion, or turn it into a loop.";
    UnknownExport => "unknown-export", 422, retryable: false,
        "The component has no such export",
        "Name one of the exports that the message lists, as `?export=` or as `export` of the schedule.";
    OutputInvalid => "output-invalid", 422, retryable: false,
        "The output is not JSON",
        "Return the text of exactly one JSON value.";
    ForgedCode => "forged-code", 422, retryable: false,
        "The guest failed with a code of the host",
        "Fail with a code of your own: only what a call of the host answered may be passed on with its `host/` code.";
    RetriesExhausted => "retries-exhausted", 422, retryable: false,
        "All attempts failed",
        "Read the failure of the last attempt in `details`, mend its cause, and retry the run.";
    Cancelled => "cancelled", 409, retryable: false,
        "The run was cancelled",
        "Start the run again if it should go on after all.";
    ShuttingDown => "shutting-down", 503, retryable: true,
        "The host is shutting down",
        "Ask again; the host will be back, or another one will answer.";
    CrashSuspect => "crash-suspect", 422, retryable: false,
        "The host died several times with this run in hand",
        "Look at the host's own log and at the module before retrying the run by hand.";
    Conflict => "conflict", 409, retryable: true,
        "What the run had read was changed by another",
        "Try again; where it happens often, touch fewer shared keys or lower the deployment's concurrency.";
    Internal => "internal", 500, retryable: true,
        "The host failed",
        "Try again; if it stays, report it with the host's log lines of that time.";
    // Reach: what a guest may touch.
    NotAvailable => "not-available", 501, retryable: false,
        "This part of the contract is not there yet",
        "Use a later release, or do without the function: the message names it.";
    NotGranted => "not-granted", 403, retryable: false,
        "The deployment has no grant for this",
        "Add the line that the message shows to `[grants]` in the manifest, and deploy again.";
    EgressDenied => "egress-denied", 403, retryable: false,
        "The operator's policy denies this destination",
        "Ask the operator to allow the origin in the host's configuration.";
    PolicyDenied => "policy-denied", 403, retryable: false,
        "The operator's policy does not allow this",
        "Ask the operator for the line that the message shows, or do with less.";
    AddressRefused => "address-refused", 403, retryable: false,
        "The name leads to an address that is not allowed",
        "Use a public address, or ask the operator to allow this network.";
    SecretMissing => "secret-missing", 422, retryable: false,
        "There is no secret of this name",
        "Set the secret: as the environment variable or the file that the message names.";
    SecretTooShort => "secret-too-short", 422, retryable: false,
        "The secret is too short to be sent",
        "Use a secret of at least 8 bytes.";
    SecretNotGranted => "secret-not-granted", 403, retryable: false,
        "The secret may not be used here",
        "Add the secret, with the origin it may go to, to `secrets` under `[grants]`.";
    NotInHealthCheck => "not-in-health-check", 403, retryable: false,
        "A health check may not do this",
        "Move what writes, posts or waits out of the `health` export.";
    WaitInStep => "wait-in-step", 409, retryable: false,
        "A step may not wait",
        "End the step before sleeping, waiting for a signal or starting a run.";
    StepOrder => "step-order", 409, retryable: false,
        "Steps were ended out of order",
        "End the innermost open step first.";
    ClaimInStep => "claim-in-step", 409, retryable: false,
        "A request follows a compare-and-set in the same step",
        "Claim before the step begins: inside it, others would see the claim only after the request that it is for.";
    JournalMismatch => "journal-mismatch", 409, retryable: false,
        "The run does something else than its journal holds",
        "Retry it on the component version that it began with, or from the start; the details show both calls.";
    BadArgument => "bad-argument", 422, retryable: false,
        "A host call was given something it cannot take",
        "Correct the argument that the message names.";
    // HTTP: what may go wrong with a request that a guest sends.
    HttpBadRequest => "http-bad-request", 422, retryable: false,
        "The request cannot be sent as it is",
        "Correct what the message names: the method, the url or a header.";
    HttpConnectFailed => "http-connect-failed", 502, retryable: true,
        "The server could not be reached",
        "See whether the name resolves and the server answers; the run is tried again by its retry policy.";
    HttpTimeout => "http-timeout", 504, retryable: true,
        "The server did not answer in time",
        "Raise the request's `timeout` (at most 10 minutes), or ask for less.";
    HttpBadAnswer => "http-bad-answer", 502, retryable: true,
        "The server's answer is not HTTP",
        "Look at the server, or at what is in between.";
    HttpTooManyRedirects => "http-too-many-redirects", 502, retryable: false,
        "The request was redirected too often",
        "Ask the address at which the redirects end, or raise `redirects`.";
    HttpRedirectRefused => "http-redirect-refused", 502, retryable: false,
        "A request with a secret was redirected to another origin",
        "Ask with `redirects = 0`, and send another request, without the secret, to the `location` of the answer.";
    HttpCircuitOpen => "http-circuit-open", 503, retryable: true,
        "The server failed too often, and is left alone for a while",
        "Wait until the time that the message names; steps and runs that are tried again wait by themselves.";
    // Ledger: what a posting must satisfy.
    UnknownCurrency => "unknown-currency", 422, retryable: false,
        "The currency is not known",
        "Use an ISO 4217 code in capitals, or let the operator declare the unit with its exponent.";
    BadKind => "bad-kind", 422, retryable: false,
        "There is no such kind of entry",
        "Use one of: sale, subscription, commission, trade, usage, interest, refund, fee, dispute, tax, payout, payout-reversal, adjustment.";
    WrongSign => "wrong-sign", 422, retryable: false,
        "The amount has the wrong sign",
        "Give the size of the amount: the kind says which way it goes.";
    BadEntry => "bad-entry", 422, retryable: false,
        "The ledger entry is not valid",
        "Correct the field that the message names.";
    ExternalIdConflict => "external-id-conflict", 409, retryable: false,
        "This external id was posted with other content",
        "Use the provider's own unique id; correct an earlier entry by an `adjustment` with an id of its own.";
    AmountOverflow => "amount-overflow", 422, retryable: false,
        "The amount is too large",
        "Check the unit: amounts are in the currency's minor unit.";
    // Schedules.
    BadCron => "bad-cron", 422, retryable: false,
        "The cron expression is not valid",
        "Correct the field that the message names; `tidemill schedules preview` shows what an expression means.";
    BadSchedule => "bad-schedule", 422, retryable: false,
        "The schedule is not valid",
        "Correct the field that the pointer names.";
    OverlapSkipped => "overlap-skipped", 409, retryable: false,
        "The firing was skipped because an earlier run has not ended",
        "Let the schedule fire less often, make the run shorter, or choose `overlap = \"queue-one\"` or `\"allow\"`.";
    FiringMissed => "firing-missed", 409, retryable: false,
        "The firing was missed while the host was down",
        "Set `catch_up` and `catch_up_window` if firings should be made up for; start by hand what is still needed.";
    FiringLate => "firing-late", 409, retryable: false,
        "The firing was carried out late",
        "Look at what the host was doing at that time; give it more room, or spread the schedules with `jitter`.";
    // Components: what an upload must satisfy.
    ComponentInvalid => "component-invalid", 422, retryable: false,
        "This is not a component that can run here",
        "Build with `tidemill build`, or with `cargo build --target wasm32-wasip2`.";
    ComponentTooLarge => "component-too-large", 413, retryable: false,
        "The component is too large",
        "Build with `opt-level = \"s\"`, `lto = true` and without debug sections; the operator may raise the limit.";
    CompileFailed => "compile-failed", 422, retryable: false,
        "The component could not be compiled",
        "Build it anew with a current toolchain; the message has the compiler's words.";
    CompileLimit => "compile-limit", 422, retryable: false,
        "Compiling the component takes too much",
        "Make the component smaller, or its largest functions.";
    ImportMissing => "import-missing", 422, retryable: false,
        "The component imports what the host does not have",
        "Build against the interfaces and versions that the message lists.";
    ExportMissing => "export-missing", 422, retryable: false,
        "The component exports nothing that can be run",
        "Export at least one of `workflow`, `revenue-stream`, `webhook` and `health`.";
    VersionHasOtherBytes => "version-has-other-bytes", 409, retryable: false,
        "This version exists with other bytes",
        "Upload under a new version number.";
    ComponentInUse => "component-in-use", 409, retryable: false,
        "The component is in use",
        "Delete or move the deployments and wait for the runs that `errors` lists, then try again.";
    // Requests: what the API refuses.
    BadJson => "bad-json", 400, retryable: false,
        "The body is not JSON",
        "Send one JSON value in UTF-8; the message says where it breaks off.";
    BadField => "bad-field", 422, retryable: false,
        "A field is not valid",
        "Correct the fields that `errors` lists.";
    InputInvalid => "input-invalid", 422, retryable: false,
        "The input is not what the component takes",
        "Correct what `errors` lists; the component's record shows the schema of its input.";
    UnknownField => "unknown-field", 422, retryable: false,
        "There is no such field",
        "Use the name that the message suggests, or remove the field.";
    BadManifest => "bad-manifest", 422, retryable: false,
        "The manifest is not valid",
        "Correct everything that `errors` lists, then deploy again.";
    BadName => "bad-name", 400, retryable: false,
        "The name is not valid",
        "Write it as the message says. Most names are 1 to 63 lower-case letters, digits and hyphens, the first and last a letter or digit.";
    BadQuery => "bad-query", 400, retryable: false,
        "A query parameter is not valid",
        "Correct the parameter that the message names.";
    BadHeader => "bad-header", 400, retryable: false,
        "A header is not valid",
        "Correct the header that the message names.";
    BadCursor => "bad-cursor", 400, retryable: false,
        "The cursor is not valid",
        "Start again at the first page, without `cursor`.";
    BodyTooLarge => "body-too-large", 413, retryable: false,
        "The request body is too large",
        "Send less; the message has the bound.";
    HeaderTooLarge => "header-too-large", 431, retryable: false,
        "The request's headers are too large",
        "Send fewer or shorter headers.";
    UrlTooLong => "url-too-long", 414, retryable: false,
        "The url is too long",
        "Shorten the path and the query.";
    RequestTimeout => "request-timeout", 408, retryable: true,
        "The request did not arrive in time",
        "Send it again; look at the connection if it happens often.";
    MethodNotAllowed => "method-not-allowed", 405, retryable: false,
        "The path does not take this method",
        "Use one of the methods in the `Allow` header.";
    UnsupportedMediaType => "unsupported-media-type", 415, retryable: false,
        "The body has the wrong content type",
        "Send `Content-Type: application/json`.";
    Unauthorised => "unauthorised", 401, retryable: false,
        "The request has no valid token",
        "Send `Authorization: Bearer TOKEN`; clients read `TIDEMILL_TOKEN`.";
    TooManyAttempts => "too-many-attempts", 429, retryable: true,
        "Authentication failed too often from this address",
        "Correct the token that your clients send; a request with the right one passes at once.";
    OriginRefused => "origin-refused", 403, retryable: false,
        "The request comes from another site",
        "Call the API from a program, or from the host's own page.";
    IdempotencyMismatch => "idempotency-mismatch", 422, retryable: false,
        "The idempotency key was used for another request",
        "Use a new key for a new request.";
    IdempotencyRunRemoved => "idempotency-run-removed", 410, retryable: false,
        "The run of the idempotency key was removed by retention",
        "The work was done once: look for its effect. For a new run, use a new key.";
    PreconditionFailed => "precondition-failed", 412, retryable: false,
        "It was changed since you read it",
        "Read it again, apply your change to what it is now, and send that with the new `ETag`.";
    QueueFull => "queue-full", 429, retryable: true,
        "The deployment's queue is full",
        "Wait as long as `Retry-After` says, then send the same request again.";
    WouldDeadlock => "would-deadlock", 409, retryable: false,
        "The run would wait for a run that waits for it",
        "Do that work in the run that has the key, or start the other one when it has ended.";
    Overloaded => "overloaded", 503, retryable: true,
        "The host has as much to do as it can take",
        "Wait as long as `Retry-After` says, then send the same request again.";
    PathNotFound => "path-not-found", 404, retryable: false,
        "There is nothing at this path",
        "See `/openapi.json` for the paths.";
    DeploymentNotFound => "deployment-not-found", 404, retryable: false,
        "There is no such deployment",
        "See `tidemill deployments` (`GET /v1/deployments`), or `tidemill deploy` to make it.";
    RevisionNotFound => "revision-not-found", 404, retryable: false,
        "The deployment has no such revision",
        "See `tidemill deployments history NAME` (`GET /v1/deployments/{name}/revisions`).";
    ModuleNotFound => "module-not-found", 404, retryable: false,
        "There is no such module or version",
        "Upload it first: `PUT /v1/modules/{name}/versions/{version}`, or `tidemill deploy`.";
    ComponentNotFound => "component-not-found", 404, retryable: false,
        "There is no such component",
        "Upload it, and use the digest that the upload answers.";
    RunNotFound => "run-not-found", 404, retryable: false,
        "There is no such run",
        "See `tidemill runs` (`GET /v1/runs`).";
    SignalNotFound => "signal-not-found", 404, retryable: false,
        "No signal waits at that place",
        "List the run's inbox: `tidemill runs signals RUN`.";
    ScheduleNotFound => "schedule-not-found", 404, retryable: false,
        "There is no such schedule",
        "See `tidemill schedules` (`GET /v1/schedules`).";
    StateKeyNotFound => "state-key-not-found", 404, retryable: false,
        "There is no value under this key",
        "See `tidemill state list NAME` (`GET /v1/deployments/{name}/state`).";
    TopicNotFound => "topic-not-found", 404, retryable: false,
        "There is no such topic",
        "See `tidemill topics` (`GET /v1/topics`); a topic begins with its first event.";
    SubscriptionNotFound => "subscription-not-found", 404, retryable: false,
        "There is no such subscription",
        "See `tidemill subscriptions` (`GET /v1/subscriptions`).";
    AlreadyExists => "already-exists", 409, retryable: false,
        "There is one of this name already",
        "Choose another name, or change the one that is there.";
    DeploymentInUse => "deployment-in-use", 409, retryable: false,
        "The deployment has runs that have not ended",
        "Wait for them, or delete with `?runs=cancel`.";
    RunState => "run-state", 409, retryable: false,
        "The run's state does not allow this",
        "Read the run's state first; the message says what would be possible.";
    // Store: what the disk may do.
    StoreDamaged => "store-damaged", 503, retryable: false,
        "The store is damaged",
        "Stop the host, move the data folder away and keep it, and put the last backup's copy in its place.";
    StoreLocked => "store-locked", 503, retryable: false,
        "Another process uses the store",
        "Stop the other host, or give this one another folder with `TIDEMILL_DATA`.";
    StoreReadOnly => "store-read-only", 503, retryable: false,
        "The store accepts no writes",
        "See the host's log for the cause, mend it, and start the host again.";
    StoreUnavailable => "store-unavailable", 503, retryable: true,
        "The store could not be reached for a moment",
        "Send the same request again in a moment.";
    DiskFull => "disk-full", 507, retryable: true,
        "The disk is full",
        "Make room on the volume; the host goes on by itself.";
}
