# Two images of one program; docs/containers.md says how to run them.
#   docker build --target fusion .              the program alone, for a PostgreSQL of yours
#   docker build --target fusion-allinone .     with a private PostgreSQL, in the volume /data

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /image/usr/local/bin/fusion ./cmd/fusion
# What the program expects of a system: whom to trust, and a place for temporary files.
RUN install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
    && install -d -m 1777 /image/tmp


FROM debian:12-slim AS fusion-allinone
# Debian makes and starts a cluster with the server's package unless told not to. Versions
# are Debian's: a stable release keeps only the one with the latest fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates postgresql-common \
    && sed -i 's/^[#[:space:]]*create_main_cluster[[:space:]]*=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf \
    && apt-get install -y --no-install-recommends postgresql-15 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 fusion \
    && useradd --no-log-init --uid 10001 --gid fusion --home-dir /data --no-create-home --shell /usr/sbin/nologin fusion \
    && install -d -o fusion -g fusion -m 0700 /data
COPY --from=build /image/usr/local/bin/fusion /usr/local/bin/fusion
# PORT is what hosting platforms set; it means all addresses of the container.
ENV FUSION_DATA_DIR=/data \
    FUSION_OPS_ADDR=0.0.0.0:9464 \
    PORT=8080
ARG VERSION=dev
LABEL org.opencontainers.image.title="FusionCommerce, all in one" \
      org.opencontainers.image.description="An open commerce engine in one binary, with its PostgreSQL" \
      org.opencontainers.image.source="https://github.com/fusioncommerce/fusion" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=6s --start-period=60s CMD ["fusion", "health"]
ENTRYPOINT ["fusion"]
CMD ["serve"]


# The last stage is what a build without --target makes.
FROM scratch AS fusion
COPY --from=build /image /
ENV FUSION_OPS_ADDR=0.0.0.0:9464 \
    PATH=/usr/local/bin \
    PORT=8080
ARG VERSION=dev
LABEL org.opencontainers.image.title="FusionCommerce" \
      org.opencontainers.image.description="An open commerce engine in one binary, for a PostgreSQL of yours" \
      org.opencontainers.image.source="https://github.com/fusioncommerce/fusion" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
USER 10001:10001
EXPOSE 8080 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=6s --start-period=60s CMD ["fusion", "health"]
ENTRYPOINT ["fusion"]
CMD ["serve"]
