# A runner in a container, from the runner's package alone:
#   npm pack ./dist/runner
#   docker build -f infra/runner.Dockerfile --target cpu  -t roundtable-runner:cpu  .
#   docker build -f infra/runner.Dockerfile --target cuda -t roundtable-runner:cuda .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -v /srv/runner:/home/runner -v /etc/roundtable/passphrase:/run/secrets/passphrase:ro roundtable-runner:cpu
# (with --gpus all for cuda). Other bases by --build-arg: NODE_IMAGE has Node 24 in /usr/local/bin and npm, CUDA_IMAGE what
# ONNX Runtime 1.30 wants, CUDA 12 and cuDNN 9. The passphrase's file and the home belong to uid 1000, mode 600 and 700.
ARG NODE_IMAGE=node:24-slim
ARG CUDA_IMAGE=nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04

FROM ${NODE_IMAGE} AS install
WORKDIR /opt/roundtable
COPY roundtable-runner-*.tgz ./
# The native runtime's own installer fetches the libraries for CUDA, or nothing. It keeps builds for every platform.
RUN ONNXRUNTIME_NODE_INSTALL=skip npm install --omit=dev --no-audit --no-fund --foreground-scripts ./roundtable-runner-*.tgz \
  && rm -rf roundtable-runner-*.tgz node_modules/onnxruntime-node/bin/napi-v6/darwin node_modules/onnxruntime-node/bin/napi-v6/win32 \
  && npm cache clean --force

FROM install AS install-cuda
RUN cd node_modules/onnxruntime-node && ONNXRUNTIME_NODE_INSTALL=cuda12 node script/install

FROM ${NODE_IMAGE} AS cpu
COPY --from=install /opt/roundtable /opt/roundtable
ENV NODE_ENV=production RUNNER_HOME=/home/runner ROUNDTABLE_PASSPHRASE_FILE=/run/secrets/passphrase
USER 1000:1000
WORKDIR /home/runner
VOLUME ["/home/runner"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/opt/roundtable/node_modules/roundtable-runner/runner.js"]

# Node comes from its own image.
FROM ${CUDA_IMAGE} AS cuda
COPY --from=install /usr/local/bin/node /usr/local/bin/node
COPY --from=install-cuda /opt/roundtable /opt/roundtable
ENV NODE_ENV=production RUNNER_HOME=/home/runner ROUNDTABLE_PASSPHRASE_FILE=/run/secrets/passphrase
USER 1000:1000
WORKDIR /home/runner
VOLUME ["/home/runner"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/opt/roundtable/node_modules/roundtable-runner/runner.js"]
