# A runner in a container, from the runner's package alone; docs/runner.md says how it is run.
#   npm run build && npm pack ./dist/runner
#   docker build -f infra/runner.Dockerfile --target cpu  -t roundtable-runner:cpu  .
#   docker build -f infra/runner.Dockerfile --target cuda -t roundtable-runner:cuda .
# Other bases by --build-arg: NODE_IMAGE has Node 24 in /usr/local/bin and npm, CUDA_IMAGE what ONNX Runtime 1.30 wants,
# CUDA 12 and cuDNN 9. Where npm needs settings of your own (a registry, an authority), hand them to the build and not to
# the image: --secret id=npmrc,src=$HOME/.npmrc
ARG NODE_IMAGE=node:24-slim
ARG CUDA_IMAGE=nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04

FROM ${NODE_IMAGE} AS install
WORKDIR /opt/roundtable
COPY roundtable-runner-*.tgz ./
# The native runtime's own installer fetches the libraries for CUDA, or nothing. Two packages bring builds for every system.
RUN --mount=type=secret,id=npmrc \
  NPM_CONFIG_USERCONFIG=/run/secrets/npmrc ONNXRUNTIME_NODE_INSTALL=skip npm install --omit=dev --no-audit --no-fund ./roundtable-runner-*.tgz \
  && rm -rf roundtable-runner-*.tgz \
  node_modules/onnxruntime-node/bin/napi-v6/darwin node_modules/onnxruntime-node/bin/napi-v6/win32 \
  node_modules/@temporalio/core-bridge/releases/*-apple-darwin \
  node_modules/@temporalio/core-bridge/releases/*-windows-msvc

FROM install AS install-cuda
RUN cd node_modules/onnxruntime-node && ONNXRUNTIME_NODE_INSTALL=cuda12 node script/install

FROM ${NODE_IMAGE} AS cpu
COPY --from=install /opt/roundtable /opt/roundtable
RUN ln -s /opt/roundtable/node_modules/.bin/roundtable-runner /usr/local/bin/ \
  && install -d -o 1000 -g 1000 -m 700 /home/runner
ENV NODE_ENV=production RUNNER_HOME=/home/runner ROUNDTABLE_PASSPHRASE_FILE=/run/secrets/passphrase
USER 1000:1000
WORKDIR /home/runner
STOPSIGNAL SIGTERM
ENTRYPOINT ["roundtable-runner"]
CMD ["start"]

# Node comes from its own image.
FROM ${CUDA_IMAGE} AS cuda
COPY --from=install /usr/local/bin/node /usr/local/bin/node
COPY --from=install-cuda /opt/roundtable /opt/roundtable
RUN ln -s /opt/roundtable/node_modules/.bin/roundtable-runner /usr/local/bin/ \
  && install -d -o 1000 -g 1000 -m 700 /home/runner
ENV NODE_ENV=production RUNNER_HOME=/home/runner ROUNDTABLE_PASSPHRASE_FILE=/run/secrets/passphrase
USER 1000:1000
WORKDIR /home/runner
STOPSIGNAL SIGTERM
ENTRYPOINT ["roundtable-runner"]
CMD ["start"]
