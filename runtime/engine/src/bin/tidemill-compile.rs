//! Compiles one component within limits: what `tidemill compile-component` does, for tests and benchmarks of the
//! engine, which have no `tidemill`.

fn main() -> std::process::ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    tidemill_engine::compile_component_main(&args)
}
