//! Keys and settings of the bridge itself.

use super::Patient;

#[tokio::test]
async fn keys_that_are_missing_weak_or_not_keys_are_named_and_replaced() {
    let rsa = "openssl genrsa -out weak.key 1024 2>/dev/null && openssl rsa -in weak.key -pubout -out weak.pem 2>/dev/null";
    let certificate = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout c.key -out c.crt -subj /CN=c 2>/dev/null";
    for (name, typed) in [
        ("token keys", "unset ROWCAST_JWT_SECRET".to_owned()),
        ("token secret", "export ROWCAST_JWT_SECRET=short".to_owned()),
        (
            "token secret",
            "export ROWCAST_JWT_SECRET=super-secret-jwt-token-with-at-least-32-characters"
                .to_owned(),
        ),
        ("token public key", "export ROWCAST_JWT_PUBLIC_KEY=nowhere.pem".to_owned()),
        ("token public key", format!("{rsa}\nexport ROWCAST_JWT_PUBLIC_KEY=weak.pem")),
        (
            "token public key",
            "openssl genpkey -algorithm ed25519 -out p.key\nexport ROWCAST_JWT_PUBLIC_KEY=p.key"
                .to_owned(),
        ),
        ("token public key", format!("{certificate}\nexport ROWCAST_JWT_PUBLIC_KEY=c.crt")),
    ] {
        let mut patient = Patient::new().await;
        patient.types(&typed);
        patient.recovers_from(name).await;
    }
}

#[tokio::test]
async fn a_key_set_that_is_not_there_or_for_all_apps_is_named() {
    let mut patient = Patient::new().await;
    for place in ["keys.json", "http://127.0.0.1:1/keys.json"] {
        patient.types(&format!("export ROWCAST_JWKS={place} ROWCAST_JWT_AUDIENCE=us"));
        let (ok, complaints) = patient.examined();
        assert!(!ok && complaints[0].name == "token key set", "{complaints:?}");
        let remedy = &complaints[0].remedy[0];
        assert!(remedy.contains(place) && remedy.contains(r#"{"keys": […]}"#), "{remedy}");
    }
    let key = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    patient.types(&format!("printf '%s' '{key}' > keys.json\nexport ROWCAST_JWKS=keys.json"));
    assert!(patient.examined().1.is_empty());
    patient.types("unset ROWCAST_JWT_AUDIENCE");
    patient.recovers_from("token audience").await;
}

#[tokio::test]
async fn settings_that_would_bite_one_day_are_advised_against() {
    for (name, typed) in [
        ("allowed origins", "unset ROWCAST_ALLOWED_ORIGINS"),
        ("admin address", "export ROWCAST_ADMIN_HOST=0.0.0.0"),
        ("open files", "ulimit -S -n 100"),
    ] {
        let mut patient = Patient::new().await;
        patient.types(typed);
        let (ok, complaints) = patient.examined();
        assert!(ok && complaints.len() == 1, "only advice: {complaints:?}");
        patient.recovers_from(name).await;
    }
    let mut patient = Patient::new().await;
    patient.types("export ROWCAST_POOL_SIZE=5000");
    patient.recovers_from("connections").await;
}
