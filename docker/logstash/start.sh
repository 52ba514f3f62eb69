#!/bin/sh
# Logstash reads secrets from the environment alone: here it is that of its own process, from the file.
set -eu
ELASTICSEARCH_PASSWORD="$(cat "${PASSWORD_FILE:-/run/secrets/password}")"
export ELASTICSEARCH_PASSWORD
exec "${LOGSTASH_ENTRYPOINT:-/usr/local/bin/docker-entrypoint}" "$@"
