#!/usr/bin/env bash
# Starts Gitea in its pod with one administrator, from whom everything else is made through the API.
set -eu
[ -e /data/app.ini ] || echo "$(</etc/gitea/app.ini)" > /data/app.ini
gitea --config /data/app.ini migrate
gitea --config /data/app.ini admin user create --admin --username "$ADMIN_NAME" --password "$ADMIN_PASSWORD" \
    --email admin@gitea.test --must-change-password=false || echo "the administrator exists"
exec gitea --config /data/app.ini web
