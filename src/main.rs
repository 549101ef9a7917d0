//! The program `rowcast`.

/// glibc keeps what was freed beside what waits; this gives it back.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    rowcast::cli::main()
}
