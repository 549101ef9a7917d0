//! The program `rowcast`.

/// It gives back to the system what a burst had used, where glibc's keeps it.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    rowcast::cli::main()
}
