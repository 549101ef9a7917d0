//! Builds again when a file comes to or goes from a folder that is inside the binary.

fn main() {
    println!("cargo::rerun-if-changed=sql");
    println!("cargo::rerun-if-changed=src/app/web");
}
