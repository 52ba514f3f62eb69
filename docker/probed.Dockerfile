# An image without a shell, plus one static wget, so that its health can be asked from within.
ARG IMAGE
FROM busybox:1.37.0-musl AS busybox
FROM ${IMAGE}
COPY --from=busybox /bin/busybox /probe/wget
