# The programs of a stack's cluster, the workflow worker and the gatekeeper, after npm run build:
#   docker build -f infra/worker.Dockerfile --platform linux/amd64 -t roundtable-worker .
# Where npm needs settings of your own: --secret id=npmrc,src=$HOME/.npmrc
ARG NODE_IMAGE=node:24-slim

FROM ${NODE_IMAGE} AS install
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Not npm ci: the lock names the optional packages of Linux x64 alone. Of those, one the emulator of the table.
# Two packages bring builds for every system.
RUN --mount=type=secret,id=npmrc \
  NPM_CONFIG_USERCONFIG=/run/secrets/npmrc npm install --omit=dev --no-audit --no-fund \
  && rm -rf node_modules/@dynoxide \
  node_modules/onnxruntime-node/bin/napi-v6/darwin node_modules/onnxruntime-node/bin/napi-v6/win32 \
  node_modules/@temporalio/core-bridge/releases/*-apple-darwin \
  node_modules/@temporalio/core-bridge/releases/*-windows-msvc

FROM ${NODE_IMAGE}
WORKDIR /app
COPY package.json ./
COPY --from=install /app/node_modules ./node_modules
COPY dist ./dist
# The only places it writes to; the task mounts volumes there, the rest of the file system is read-only.
RUN install -d -o 1000 -g 1000 /scratch && install -d -o 1000 -g 1000 -m 700 /keys
VOLUME ["/scratch", "/keys"]
ENV NODE_ENV=production
USER 1000:1000
STOPSIGNAL SIGTERM
CMD ["node", "--enable-source-maps", "dist/workflows.js"]
