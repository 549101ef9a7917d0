# Rowcast in a small image: built in one stage, run as nobody in particular in the other.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# The allocator is built by make.
RUN apt-get update -q && apt-get install -y -q --no-install-recommends make ca-certificates
# The dependencies are a layer of their own: they are built again only when the lock file changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/it && echo 'fn main() {}' | tee src/main.rs tests/it/main.rs && touch src/lib.rs \
    && cargo build --locked --release --bin rowcast && rm -rf src tests
COPY build.rs* ./
COPY sql sql
COPY docs/api docs/api
COPY src src
RUN touch src/main.rs src/lib.rs && cargo build --locked --release --bin rowcast

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/release/rowcast /usr/local/bin/rowcast
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/rowcast/
USER 10001:10001
ENV ROWCAST_HOST=0.0.0.0
EXPOSE 4000
# /ready answers 200 while changes are being delivered, proven by an echo through the database.
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${ROWCAST_ADMIN_PORT:-4001} && printf 'GET /ready HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["rowcast"]
CMD ["serve"]
