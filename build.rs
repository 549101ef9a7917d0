//! Builds again when a file comes to or goes from `sql/`, which is inside the binary.

fn main() {
    println!("cargo::rerun-if-changed=sql");
}
