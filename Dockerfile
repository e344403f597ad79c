# One image a service:
#
#   docker build --target delivery --build-arg VERSION=r1 -t ghcr.io/hayate-ads/delivery:r1 .
#
# A release pins the images that it starts from: it passes GO, NODE and RUNTIME as name@sha256:…, which
# docs/operations.md tells how to find. The tags below are for building at one's desk.
ARG GO=golang:1.26-bookworm
ARG NODE=node:22-bookworm-slim
ARG RUNTIME=gcr.io/distroless/static-debian12:nonroot

FROM --platform=$BUILDPLATFORM ${NODE} AS modules
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --loglevel=error --omit=optional

FROM --platform=$BUILDPLATFORM ${GO} AS source
ENV GOTOOLCHAIN=local CGO_ENABLED=0
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .

FROM source AS build
ARG VERSION TARGETOS TARGETARCH
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION:?pass --build-arg VERSION=…}" -o /out/ ./cmd/delivery ./cmd/batch

FROM source AS build-admin
COPY --from=modules /src/node_modules node_modules
RUN touch node_modules/.complete && make admin/assets/dist/.complete
ARG VERSION TARGETOS TARGETARCH
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION:?pass --build-arg VERSION=…}" -o /out/ ./cmd/admin

# What runs: a static binary, the roots of TLS, time zones, and nobody to log in as.
FROM ${RUNTIME} AS runtime
USER 65532:65532

FROM runtime AS delivery
COPY --from=build /out/delivery /delivery
EXPOSE 8080 8081
ENTRYPOINT ["/delivery"]

FROM runtime AS batch
COPY --from=build /out/batch /batch
ENTRYPOINT ["/batch"]

FROM runtime AS admin
COPY --from=build-admin /out/admin /admin
EXPOSE 8090
ENTRYPOINT ["/admin"]
