# syntax=docker/dockerfile:1
# Both programs: `shop` runs services, `crashcart` loads, breaks and judges them.

FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY services services
COPY harness harness
# Nothing of it is built; the workspace names it.
COPY dashboards dashboards
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p shop -p harness \
    && cp target/release/shop target/release/crashcart /usr/local/bin/

FROM debian:12.11-slim
# The system's certificates, for sslmode=require and amqps.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --user-group --uid 10001 shop \
    && install --directory --owner=shop --group=shop /work/runs
COPY --from=build /usr/local/bin/shop /usr/local/bin/crashcart /usr/local/bin/
USER 10001:10001
WORKDIR /work
EXPOSE 8001 8002 8003 8004
CMD ["shop", "all"]
