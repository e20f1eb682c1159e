//! The list of codes, and nothing else. `codes/mod.rs` describes how to add one.

use super::codes;

codes! {
    // Limits: maximum use of resources by one run or deployment.
    LimitFuel => "limit-fuel", 422, retryable: false,
        "The run used all of its fuel",
        "Raise `fuel` under `[limits]` in the manifest, or do less work in one run.";
    LimitMemory => "limit-memory", 422, retryable: false,
        "The run exceeded its maximum memory",
        "Raise `memory` under `[limits]` in the manifest, or hold less in memory at once.";
    LimitActive => "limit-active", 422, retryable: false,
        "The run exceeded its maximum active time",
        "Raise `active` under `[limits]`, or split the work into several runs.";
    LimitLifetime => "limit-lifetime", 422, retryable: false,
        "The run did not end within its lifetime",
        "Raise or remove `lifetime` under `[limits]`.";
    LimitOutput => "limit-output", 422, retryable: false,
        "The run's output is too large",
        "Store large results in `state` or a file service, and return a reference to them.";
    LimitInput => "limit-input", 413, retryable: false,
        "The run's input is too large",
        "Send a reference, such as a URL or a key in `state`, instead of the data itself.";
    LimitLog => "limit-log", 422, retryable: false,
        "A log line is too large",
        "Log less in one line: its message and fields may hold 64 KiB together.";
    LimitJournal => "limit-journal", 422, retryable: false,
        "The run's journal is too large",
        "Raise `journal` under `[limits]`, put loops into steps, or let an endless run continue as new.";
    LimitHttp => "limit-http", 422, retryable: false,
        "The run exceeded a limit on its HTTP requests",
        "Raise `http_calls` or `http_bytes` under `[limits]`; the message names the one.";
    LimitHttpBody => "limit-http-body", 422, retryable: false,
        "An HTTP body is too large",
        "Request smaller pages: one body may hold 4 MiB, and the responses of one `fetch-all` 6 MiB together.";
    LimitStateKey => "limit-state-key", 422, retryable: false,
        "The length of a state key is out of bounds",
        "Use keys of 1 to 512 bytes.";
    LimitStateValue => "limit-state-value", 422, retryable: false,
        "A state value is too large",
        "Split the value over several keys of up to 1 MiB each.";
    LimitHostCall => "limit-host-call", 422, retryable: false,
        "The arguments or results of a host call are too large",
        "Pass less in one call: its arguments may hold 8 MiB together.";
    LimitRandom => "limit-random", 422, retryable: false,
        "Too many random bytes in one call",
        "Request at most 65,536 bytes per call.";
    LimitCommit => "limit-commit", 422, retryable: false,
        "The run writes too much in one transaction",
        "Write less per transaction: at most 16 MiB and 10,000 keys, and 32 MiB per commit.";
    LimitSignals => "limit-signals", 422, retryable: true,
        "The run's inbox cannot accept the signal",
        "Let the run receive its waiting signals: at most 1,000 and 1 MiB, with 64 KiB each and names of up to 255 bytes.";
    LimitGrace => "limit-grace", 422, retryable: false,
        "The run did not end within its cancellation grace period",
        "See what the run did not undo, and make its compensation shorter.";
    LimitSilences => "limit-silences", 422, retryable: false,
        "The maximum number of silences is reached",
        "Delete silences with `tidemill silences delete`, or name more deployments with one of them.";
    LimitSecrets => "limit-secrets", 422, retryable: false,
        "The maximum number of secrets, or of versions of one, is reached",
        "Delete secrets with `tidemill secrets delete`, or wait until the overlap of older versions has ended.";
    LimitTopics => "limit-topics", 422, retryable: false,
        "The maximum number of topics is reached",
        "Publish to fewer topics and distinguish events by their payload, or delete topics with `tidemill topics delete`.";
    LimitChildren => "limit-children", 422, retryable: false,
        "The run cannot start more runs",
        "Wait for runs that it started, start them detached, or reduce the depth of runs that start runs.";
    QuotaRuns => "quota-runs", 429, retryable: true,
        "The deployment reached its maximum number of stored runs",
        "Wait for retention to remove runs, shorten `--retention`, or raise `runs` in `--quotas`.";
    QuotaState => "quota-state", 422, retryable: false,
        "The deployment reached the maximum size of its state",
        "Delete keys that are no longer needed, or raise `state` in `--quotas`; then retry the run.";
    QuotaPayloads => "quota-payloads", 429, retryable: true,
        "The deployment reached the maximum size of its payloads",
        "Wait for retention to remove payloads, shorten `--retention`, or raise `payloads` in `--quotas`.";
    QuotaLogs => "quota-logs", 429, retryable: true,
        "The deployment reached the maximum size of its log",
        "Log less, wait for retention to remove lines, or raise `logs` in `--quotas`.";
    QuotaEvents => "quota-events", 429, retryable: true,
        "The deployment reached its maximum number of stored events",
        "Wait for retention to remove events, shorten `--event-retention`, or raise `events` in `--quotas`.";
    // Ends: other reasons for the end of a run.
    Trap => "trap", 422, retryable: false,
        "The guest trapped",
        "Read the guest's stack in `details` and the last log lines, and correct the module.";
    Exited => "exited", 422, retryable: false,
        "The guest called exit",
        "Return a result or a failure from the export instead of ending the process.";
    StackOverflow => "stack-overflow", 422, retryable: false,
        "The guest's stack overflowed",
        "Limit the recursion, or replace it by a loop.";
    UnknownExport => "unknown-export", 422, retryable: false,
        "The component has no such export",
        "Name one of the exports in the message, as `?export=` or as `export` of the schedule or subscription.";
    OutputInvalid => "output-invalid", 422, retryable: false,
        "The output is not valid JSON",
        "Return the text of exactly one JSON value.";
    ForgedCode => "forged-code", 422, retryable: false,
        "The guest failed with a code of the host",
        "Fail with a code of your own; pass on a `host/` code only if a host call returned it.";
    RetriesExhausted => "retries-exhausted", 422, retryable: false,
        "All attempts failed",
        "Read the last failure in `details`, fix its cause, and retry the run.";
    Cancelled => "cancelled", 409, retryable: false,
        "The run was cancelled",
        "Start a new run if the work is still needed.";
    ShuttingDown => "shutting-down", 503, retryable: true,
        "The host is shutting down",
        "Send the request again in a few seconds, with the same `Idempotency-Key`.";
    CrashSuspect => "crash-suspect", 422, retryable: false,
        "The host crashed repeatedly while executing this run",
        "Read the host's log and check the module before you retry the run.";
    Conflict => "conflict", 409, retryable: true,
        "Another run changed data that this run had read",
        "Try again; if it happens often, use fewer shared keys or lower the deployment's concurrency.";
    Internal => "internal", 500, retryable: true,
        "The host failed",
        "Try again; if the error persists, report it with the host's log lines of that time.";
    // Access: what a guest may use.
    NotAvailable => "not-available", 501, retryable: false,
        "This host does not implement the function yet",
        "Use a later release of the host, or avoid the function that the message names.";
    NotGranted => "not-granted", 403, retryable: false,
        "The deployment has no grant for this",
        "Add the line in the message to `[grants]` in the manifest, and deploy again.";
    EgressDenied => "egress-denied", 403, retryable: false,
        "The operator's policy denies this destination",
        "Ask the operator to allow the origin in the host's configuration.";
    PolicyDenied => "policy-denied", 403, retryable: false,
        "The operator's policy does not allow this",
        "Ask the operator to add the line in the message, or request less.";
    AddressRefused => "address-refused", 403, retryable: false,
        "The name resolves to an address that is not allowed",
        "Use a public address, or ask the operator to allow this network.";
    SecretMissing => "secret-missing", 422, retryable: false,
        "The secret does not exist",
        "Set it with `tidemill secrets set`, or as the environment variable or file that the message names.";
    SecretTooShort => "secret-too-short", 422, retryable: false,
        "The secret is too short",
        "Use a secret of at least 8 bytes.";
    SecretDamaged => "secret-damaged", 500, retryable: false,
        "The stored bytes of a secret are damaged",
        "Restore the store from a backup, or set the secret again with `tidemill secrets set`.";
    MasterKey => "master-key", 503, retryable: true,
        "The master key is missing or does not fit the stored data",
        "Set `TIDEMILL_MASTER_KEY`, its `_FILE` or its `_COMMAND` to the key that the message names, and restart the host.";
    SecretNotGranted => "secret-not-granted", 403, retryable: false,
        "The deployment may not use the secret here",
        "Add the secret and its allowed origin to `secrets` under `[grants]`.";
    NotInHealthCheck => "not-in-health-check", 403, retryable: false,
        "A health check may not do this",
        "Move writes, postings and waits out of the `health` export.";
    WaitInStep => "wait-in-step", 409, retryable: false,
        "A step may not wait",
        "End the step before you sleep, wait for a signal or start a run.";
    StepOrder => "step-order", 409, retryable: false,
        "Steps were ended out of order",
        "End the innermost open step first.";
    ClaimInStep => "claim-in-step", 409, retryable: false,
        "A request follows a claim in the same step",
        "Claim or reserve before the step: inside it, the claim takes effect only after the request.";
    JournalMismatch => "journal-mismatch", 409, retryable: false,
        "Replay diverged from the journal",
        "Retry the run on the component version that it started with, or from the start.";
    BadArgument => "bad-argument", 422, retryable: false,
        "An argument of a host call is not valid",
        "Correct the argument that the message names.";
    // HTTP: failures of a request that a guest sends.
    HttpBadRequest => "http-bad-request", 422, retryable: false,
        "The request cannot be sent",
        "Correct the method, URL or header that the message names.";
    HttpConnectFailed => "http-connect-failed", 502, retryable: true,
        "The server could not be reached",
        "Check that the name resolves and that the server responds; the run's retry policy tries again.";
    HttpTimeout => "http-timeout", 504, retryable: true,
        "The server did not respond in time",
        "Raise the request's `timeout` (at most 10 minutes), or request less.";
    HttpBadAnswer => "http-bad-answer", 502, retryable: true,
        "The server's response is not valid HTTP",
        "Check the server and any proxy in between.";
    HttpTooManyRedirects => "http-too-many-redirects", 502, retryable: false,
        "The request was redirected too often",
        "Send the request to the address at which the redirects end, or raise `redirects`.";
    HttpRedirectRefused => "http-redirect-refused", 502, retryable: false,
        "A request with a secret was redirected to another origin",
        "Use `redirects = 0`, and send another request without the secret to the `location` of the response.";
    HttpCircuitOpen => "http-circuit-open", 503, retryable: true,
        "The circuit breaker of this origin is open",
        "Wait until the time in the message; retried steps and runs wait by themselves.";
    // Ledger: requirements of a posting.
    UnknownCurrency => "unknown-currency", 422, retryable: false,
        "The currency is not known",
        "Use an ISO 4217 code in capital letters, or let the operator declare the unit with its exponent.";
    BadKind => "bad-kind", 422, retryable: false,
        "The kind of ledger entry does not exist",
        "Use a kind of the table in the ledger guide. Most have a reversal, such as `refund-reversal`.";
    WrongSign => "wrong-sign", 422, retryable: false,
        "The amount has the wrong sign",
        "Pass a positive amount: the kind of the entry defines the direction.";
    BadEntry => "bad-entry", 422, retryable: false,
        "The ledger entry is not valid",
        "Correct the field that the message names.";
    UnitChanged => "unit-changed", 500, retryable: false,
        "A unit of the ledger is missing or has another number of decimal places",
        "Declare the unit with `units` as it was, such as BTC:8, and start the host again.";
    ExternalIdConflict => "external-id-conflict", 409, retryable: false,
        "This external id was posted with different content",
        "Use the provider's unique id; correct an earlier entry by an `adjustment` with its own id.";
    AmountOverflow => "amount-overflow", 422, retryable: false,
        "The amount is too large",
        "Check the unit: amounts are in the currency's minor unit.";
    ReservationNotFound => "reservation-not-found", 404, retryable: false,
        "The stream has no such reservation",
        "Pass the id that `reserve` returned to a run of the same stream.";
    ReservationSettled => "reservation-settled", 409, retryable: false,
        "The reservation was settled",
        "Post the difference: under another external id if the settlement was too low, as a reversal if it was too high.";
    ReservationVoided => "reservation-voided", 409, retryable: false,
        "The reservation was voided",
        "Post the amount, or reserve it again, under another external id.";
    ReservationExpired => "reservation-expired", 409, retryable: false,
        "The reservation has expired",
        "Post the amount, or reserve it again, under another external id; reserve for a longer time.";
    SettleAmount => "settle-amount", 422, retryable: false,
        "The amount to settle does not fit the reservation",
        "Settle at most the reserved amount in its currency, and post the rest under another external id.";
    InsufficientBalance => "insufficient-balance", 409, retryable: false,
        "The account would end below its floor",
        "Ask for less, draw `up_to` the amount, grant the customer more credit, or lower the floor.";
    BudgetExceeded => "budget-exceeded", 429, retryable: true,
        "The budget of this period has no room",
        "Ask for less, wait for the next period, or raise the limit of the budget.";
    // Schedules.
    BadCron => "bad-cron", 422, retryable: false,
        "The cron expression is not valid",
        "Correct the field that the message names; `tidemill schedules preview` shows what an expression means.";
    BadSchedule => "bad-schedule", 422, retryable: false,
        "The schedule is not valid",
        "Correct the field that the pointer names.";
    OverlapSkipped => "overlap-skipped", 409, retryable: false,
        "The firing was skipped because an earlier run has not ended",
        "Let the schedule fire less often, make the run shorter, or use `overlap = \"queue-one\"` or `\"allow\"`.";
    FiringMissed => "firing-missed", 409, retryable: false,
        "The firing was missed while the host was down",
        "Set `catch_up` and `catch_up_window` to make up for missed firings; start the needed runs by hand.";
    FiringLate => "firing-late", 409, retryable: false,
        "The firing was late",
        "Check the host's load at that time; give it more capacity, or spread the schedules with `jitter`.";
    // Components: requirements of an upload.
    ComponentInvalid => "component-invalid", 422, retryable: false,
        "The upload is not a valid component",
        "Build with `tidemill build`, or with `cargo build --target wasm32-wasip2`.";
    ComponentTooLarge => "component-too-large", 413, retryable: false,
        "The component is too large",
        "Build with `opt-level = \"s\"`, `lto = true` and without debug sections; the operator can raise the limit.";
    CompileFailed => "compile-failed", 422, retryable: false,
        "The component could not be compiled",
        "Build it again with a current toolchain; the message has the compiler's error.";
    CompileLimit => "compile-limit", 422, retryable: false,
        "Compiling the component exceeds a limit",
        "Make the component or its largest functions smaller.";
    ImportMissing => "import-missing", 422, retryable: false,
        "The component imports what the host does not provide",
        "Build against the interfaces and versions that the message lists.";
    ExportMissing => "export-missing", 422, retryable: false,
        "The component has no export that the host can run",
        "Export at least one of `workflow`, `revenue-stream`, `webhook` and `health`.";
    VersionHasOtherBytes => "version-has-other-bytes", 409, retryable: false,
        "This version exists with different bytes",
        "Upload under a new version number.";
    ComponentInUse => "component-in-use", 409, retryable: false,
        "The component is in use",
        "Delete or change the deployments and wait for the runs that `errors` lists, then try again.";
    // Requests: refusals of the API.
    BadJson => "bad-json", 400, retryable: false,
        "The body is not valid JSON",
        "Send one JSON value in UTF-8; the message names the position of the error.";
    BadField => "bad-field", 422, retryable: false,
        "A field is not valid",
        "Correct the fields that `errors` lists.";
    InputInvalid => "input-invalid", 422, retryable: false,
        "The input does not match the component's schema",
        "Correct the places that `errors` lists; the component's record shows the schema of its input.";
    UnknownField => "unknown-field", 422, retryable: false,
        "The field does not exist",
        "Use the name that the message suggests, or remove the field.";
    BadManifest => "bad-manifest", 422, retryable: false,
        "The manifest is not valid",
        "Correct everything that `errors` lists, then deploy again.";
    BadName => "bad-name", 400, retryable: false,
        "The name is not valid",
        "Write it as the message describes. Most names have 1 to 63 lower-case letters, digits and hyphens; the first and the last are a letter or digit.";
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
        "Send less; the message has the maximum.";
    HeaderTooLarge => "header-too-large", 431, retryable: false,
        "The request's headers are too large",
        "Send fewer or shorter headers.";
    UrlTooLong => "url-too-long", 414, retryable: false,
        "The URL is too long",
        "Shorten the path and the query.";
    RequestTimeout => "request-timeout", 408, retryable: true,
        "The request did not arrive in time",
        "Send the request again, with the same `Idempotency-Key`; check the connection if it happens often.";
    MethodNotAllowed => "method-not-allowed", 405, retryable: false,
        "The path does not accept this method",
        "Use one of the methods in the `Allow` header.";
    UnsupportedMediaType => "unsupported-media-type", 415, retryable: false,
        "The body has the wrong content type",
        "Send `Content-Type: application/json`.";
    Unauthorized => "unauthorized", 401, retryable: false,
        "The request has no valid token",
        "Send `Authorization: Bearer TOKEN`; clients read `TIDEMILL_TOKEN`.";
    TooManyAttempts => "too-many-attempts", 429, retryable: true,
        "Authentication failed too often from this address",
        "Correct the token of your clients; a request with the right token is accepted at once.";
    OriginRefused => "origin-refused", 403, retryable: false,
        "The request comes from another site",
        "Call the API from a program, or from the host's own page.";
    IdempotencyMismatch => "idempotency-mismatch", 422, retryable: false,
        "The idempotency key was used for another request",
        "Use a new key for a new request.";
    IdempotencyRunRemoved => "idempotency-run-removed", 410, retryable: false,
        "The run of the idempotency key was removed by retention",
        "Look for the effect of the first run; for a new run, use a new key.";
    PreconditionFailed => "precondition-failed", 412, retryable: false,
        "The resource changed after you read it",
        "Read it again, apply your change to the new version, and send it with the new `ETag`.";
    QueueFull => "queue-full", 429, retryable: true,
        "The deployment's queue is full",
        "Wait for the time in `Retry-After`, then send the same request again.";
    CircuitOpen => "circuit-open", 503, retryable: true,
        "The circuit breaker of this deployment is open",
        "Wait for the time in `Retry-After`, or request the run without `Prefer: wait`: then it waits in the queue.";
    OperatorRefused => "operator-refused", 409, retryable: false,
        "A person decides about this deployment",
        "Let a person resume the deployment or give its breaker back to its attempts; a runbook never overrides them.";
    WouldDeadlock => "would-deadlock", 409, retryable: false,
        "Starting this run would deadlock",
        "Do the work in the run that holds the key, or start the other run after that run ends.";
    Overloaded => "overloaded", 503, retryable: true,
        "The host is at its maximum load",
        "Wait for the time in `Retry-After`, then send the same request again.";
    PathNotFound => "path-not-found", 404, retryable: false,
        "The path does not exist",
        "See `/openapi.json` for the paths.";
    DeploymentNotFound => "deployment-not-found", 404, retryable: false,
        "The deployment does not exist",
        "List deployments with `tidemill deployments list` (`GET /v1/deployments`), or create one with `tidemill deploy`.";
    RevisionNotFound => "revision-not-found", 404, retryable: false,
        "The deployment has no such revision",
        "List revisions with `tidemill deployments history NAME` (`GET /v1/deployments/{name}/revisions`).";
    ModuleNotFound => "module-not-found", 404, retryable: false,
        "The module or version does not exist",
        "Upload it first: `PUT /v1/modules/{name}/versions/{version}`, or `tidemill deploy`.";
    EntryNotFound => "entry-not-found", 404, retryable: false,
        "The ledger has no such entry",
        "Use an id or a sequence number of the list of entries.";
    FindingNotFound => "finding-not-found", 404, retryable: false,
        "The ledger has no such finding",
        "Use a number of `tidemill ledger findings`.";
    AlertNotFound => "alert-not-found", 404, retryable: false,
        "There is no such alert",
        "Use an id of `tidemill alerts list`; alerts are removed 30 days after they are over.";
    AlertResolved => "alert-resolved", 409, retryable: false,
        "The alert is over",
        "There is nothing left to acknowledge; see `tidemill alerts show`.";
    SilenceNotFound => "silence-not-found", 404, retryable: false,
        "There is no such silence",
        "Use an id of `tidemill silences list`; a silence that has ended is removed.";
    ChannelNotFound => "channel-not-found", 404, retryable: false,
        "There is no such channel for alerts",
        "Use a channel of `tidemill alerts channels`, or add one to the file that `--alerts` names.";
    BudgetNotFound => "budget-not-found", 404, retryable: false,
        "The deployment has no such budget",
        "Use a budget of `tidemill budgets list`, or add one to the manifest.";
    IncidentNotFound => "incident-not-found", 404, retryable: false,
        "There is no such incident",
        "Use a number of `tidemill incidents list`.";
    IncidentState => "incident-state", 409, retryable: false,
        "The state of the incident does not allow this",
        "Look at it with `tidemill incidents show NUMBER`.";
    PaperChanged => "paper-changed", 409, retryable: false,
        "The entries of the stream are on other accounts",
        "Keep `paper` under `[ledger]` as it was, or deploy under a new name.";
    PeriodConflict => "period-conflict", 409, retryable: false,
        "The period cannot be closed",
        "Close a period that has ended, after the periods before it.";
    ComponentNotFound => "component-not-found", 404, retryable: false,
        "The component does not exist",
        "Upload it, and use the digest in the response.";
    RunNotFound => "run-not-found", 404, retryable: false,
        "The run does not exist",
        "List runs with `tidemill runs list` (`GET /v1/runs`).";
    SignalNotFound => "signal-not-found", 404, retryable: false,
        "No signal waits at that position",
        "List the run's inbox: `tidemill runs signals RUN` (`GET /v1/runs/{id}/inbox`).";
    ScheduleNotFound => "schedule-not-found", 404, retryable: false,
        "The schedule does not exist",
        "List schedules with `tidemill schedules list` (`GET /v1/schedules`).";
    StateKeyNotFound => "state-key-not-found", 404, retryable: false,
        "The state key does not exist",
        "List keys with `tidemill state list NAME` (`GET /v1/deployments/{name}/state`).";
    TopicNotFound => "topic-not-found", 404, retryable: false,
        "The topic does not exist",
        "List topics with `tidemill topics list` (`GET /v1/topics`); the first event creates a topic.";
    SecretNotFound => "secret-not-found", 404, retryable: false,
        "The secret is not in the store",
        "List secrets with `tidemill secrets list` (`GET /v1/secrets`).";
    SubscriptionNotFound => "subscription-not-found", 404, retryable: false,
        "The subscription does not exist",
        "List subscriptions with `tidemill subscriptions list` (`GET /v1/subscriptions`).";
    HookNotFound => "hook-not-found", 404, retryable: false,
        "The hook does not exist",
        "List hooks with `tidemill deliveries hooks DEPLOYMENT`, and compare the provider's URL.";
    HookUnverified => "hook-unverified", 401, retryable: false,
        "The request to the hook is not verified",
        "Read the reason with `tidemill deliveries hooks DEPLOYMENT --refused HOOK`.";
    HookUnreadable => "hook-unreadable", 400, retryable: false,
        "The delivery has no readable id",
        "Set `id` in the hook to the place of the provider's id.";
    HookRate => "hook-rate", 429, retryable: true,
        "The hook receives more requests than its rate allows",
        "Raise `rate` in the hook, or let the provider send again.";
    HookUnavailable => "hook-unavailable", 503, retryable: true,
        "The host cannot verify requests to the hook now",
        "Set the secret of the hook; the host's log names it.";
    DeliveryNotFound => "delivery-not-found", 404, retryable: false,
        "The delivery does not exist",
        "List deliveries with `tidemill deliveries list` (`GET /v1/deliveries`).";
    DeliveryState => "delivery-state", 409, retryable: false,
        "The delivery's state does not allow this",
        "Wait until its run has ended; retry or cancel a parked one.";
    AlreadyExists => "already-exists", 409, retryable: false,
        "The name is already in use",
        "Use another name, or change the existing resource.";
    DeploymentInUse => "deployment-in-use", 409, retryable: false,
        "The deployment has runs that have not ended",
        "Wait for them, or delete with `?runs=cancel`.";
    RunState => "run-state", 409, retryable: false,
        "The run's state does not allow this",
        "Read the run's state first; the message names the actions that are allowed.";
    // Store: failures of the disk.
    StoreDamaged => "store-damaged", 503, retryable: false,
        "The store is damaged",
        "Stop the host, move the data folder away and keep it, and put the last backup in its place.";
    StoreLocked => "store-locked", 503, retryable: false,
        "Another process uses the store",
        "Stop the other host, or give this one another folder with `TIDEMILL_DATA`.";
    StoreReadOnly => "store-read-only", 503, retryable: false,
        "The store is read-only",
        "Find the cause in the host's log, fix it, then restart the host.";
    StoreUnavailable => "store-unavailable", 503, retryable: true,
        "The store is temporarily unavailable",
        "Send the same request again in a moment, with the same `Idempotency-Key`.";
    DiskFull => "disk-full", 507, retryable: true,
        "The disk is full",
        "Free space on the volume; the host then continues by itself.";
}
