//! The program `rowcast`.

/// It gives back to the system what a burst had used, where glibc's keeps it.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    memory::give_back_soon();
    rowcast::cli::main()
}

#[cfg(target_os = "linux")]
mod memory {
    use tikv_jemalloc_ctl::{Access, AsName, Name};

    /// Milliseconds that freed pages are kept for what may need them next; ten seconds are the allocator's own choice.
    const SOON: isize = 1_000;
    /// By this an operator sets the allocator's options, this one too.
    const OPTIONS: &str = "_RJEM_MALLOC_CONF";

    /// Of the arenas to come, and of the one that there is before the first thread.
    fn decay() -> [&'static Name; 2] {
        [b"arenas.dirty_decay_ms\0".name(), b"arena.0.dirty_decay_ms\0".name()]
    }

    /// Has the allocator give back freed pages soon: those of requests, once they only wait.
    pub(super) fn give_back_soon() {
        if std::env::var_os(OPTIONS).is_none() {
            for decay in decay() {
                // One that refuses gives back later.
                let _ = decay.write(SOON);
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_allocator_takes_the_setting_for_all_arenas() {
            give_back_soon();
            for decay in decay() {
                let set: Result<isize, _> = decay.read();
                assert_eq!(set, Ok(SOON), "{decay}");
            }
        }
    }
}
