# The workflow worker: docker build -f infra/worker.Dockerfile --platform linux/amd64 .   (after npm run build)
ARG NODE_IMAGE=node:24-slim
FROM ${NODE_IMAGE}
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm install --omit=dev --no-audit --no-fund && npm cache clean --force
COPY dist ./dist
# The only places it writes to; the task mounts volumes there, the rest of the file system is read-only.
RUN mkdir /scratch /keys && chown node: /scratch /keys && chmod 700 /keys
VOLUME ["/scratch", "/keys"]
USER node
CMD ["node", "--enable-source-maps", "dist/workflows.js"]
