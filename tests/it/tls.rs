//! TLS to Postgres: what each `sslmode` of libpq accepts and refuses.

use std::{fs, path::Path, process::Command};

use rowcast::{config::Secret, db::Target, error::Chain, lifecycle::Lifecycle};

use crate::harness::private_cluster;

fn openssl(folder: &Path, line: &str) {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(folder).output();
    let output = output.expect("openssl");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, a certificate of its for `localhost`, and an authority that nobody asked.
fn certificates(folder: &Path) {
    for name in ["ca", "stranger"] {
        openssl(
            folder,
            &format!(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {name}.key -out {name}.crt -subj /CN={name}"
            ),
        );
    }
    openssl(
        folder,
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
    );
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost").expect("written");
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
    );
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout self.key -out self.crt -subj /CN=self -addext subjectAltName=DNS:localhost",
    );
}

/// Whether the connection, if there is one, is encrypted.
async fn encrypted(url: &str) -> Result<bool, String> {
    let target = Target::parse(&Secret::new(url)).map_err(|error| error.to_string())?;
    let lifecycle = Lifecycle::new();
    let client = target.client(&lifecycle).await.map_err(|error| Chain(&error).to_string())?;
    let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await.map_err(|error| error.to_string())?.get(0))
}

#[tokio::test]
async fn each_mode_accepts_what_libpq_accepts() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("files");
    fs::create_dir(&files).expect("a folder");
    certificates(&files);
    let file = |name: &str| files.join(name).display().to_string();

    let cluster = private_cluster(&folder.path().join("data"), &[]).await;
    let data = cluster.data();
    let install = |certificate: &str, key: &str| {
        // Written through, so that the files stay Postgres's own.
        for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
            let kept = data.join("PG_VERSION");
            fs::copy(&kept, data.join(to)).expect("a file");
            let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&kept).expect("a file"));
            std::os::unix::fs::chown(data.join(to), Some(owner), None).expect("owned");
            fs::write(data.join(to), fs::read(files.join(from)).expect("a file")).expect("written");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(data.join(to), mode).expect("private");
        }
    };
    let plain = cluster.url().reveal().to_owned();
    let local = plain.replace("127.0.0.1", "localhost");
    let root = format!("sslrootcert={}", file("ca.crt"));

    // Without TLS on the server.
    assert_eq!(encrypted(&format!("{plain}?sslmode=prefer")).await, Ok(false));
    let why = encrypted(&format!("{plain}?sslmode=require")).await.expect_err("no TLS there");
    assert!(why.contains("does not support TLS"), "{why}");
    cluster.stop().await;

    install("server.crt", "server.key");
    let cluster = private_cluster(&folder.path().join("data"), &[("ssl", "on")]).await;
    for (query, expected) in [
        ("sslmode=disable".to_owned(), Ok(false)),
        ("sslmode=allow".to_owned(), Ok(false)),
        ("sslmode=prefer".to_owned(), Ok(true)),
        (String::new(), Ok(true)),
        ("sslmode=require".to_owned(), Ok(true)),
        (format!("sslmode=require&{root}"), Ok(true)),
        (format!("sslmode=require&sslrootcert={}", file("stranger.crt")), Err("UnknownIssuer")),
        (format!("sslmode=verify-ca&{root}"), Ok(true)),
        (format!("sslmode=verify-ca&sslrootcert={}", file("stranger.crt")), Err("UnknownIssuer")),
        (format!("sslmode=verify-full&{root}"), Err("not valid for name")),
        ("sslrootcert=system".to_owned(), Err("UnknownIssuer")),
    ] {
        let found = encrypted(&format!("{plain}?{query}")).await;
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{query}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{query}: {found}"),
            (found, _) => panic!("{query}: {found:?}"),
        }
    }
    assert_eq!(encrypted(&format!("{local}?sslmode=verify-full&{root}")).await, Ok(true));
    let password = plain.split([':', '@']).nth(2).expect("a password");
    let pairs = format!(
        "host=localhost port={} user=rowcast_dev dbname=rowcast password='{password}' sslmode=verify-full {root}",
        cluster.port()
    );
    assert_eq!(encrypted(&pairs).await, Ok(true));
    cluster.stop().await;

    // A self-signed certificate is its own root.
    install("self.crt", "self.key");
    let cluster = private_cluster(&folder.path().join("data"), &[("ssl", "on")]).await;
    let own = format!("sslrootcert={}", file("self.crt"));
    assert_eq!(encrypted(&format!("{local}?sslmode=verify-full&{own}")).await, Ok(true));
    assert!(encrypted(&format!("{local}?sslmode=verify-ca&{root}")).await.is_err());
    cluster.stop().await;
}
