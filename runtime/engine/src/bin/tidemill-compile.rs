//! Compiles one component within limits, as `tidemill compile-component` does. For tests and
//! benchmarks of the engine, which do not have the `tidemill` program.

fn main() -> std::process::ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    tidemill_engine::compile_component_main(&args)
}
