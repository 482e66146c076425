/**
 * Builds what processes run. By convention:
 *   FOLDER/main.ts               -> dist/FOLDER.js            a process on a machine with node_modules
 *   functions/NAME/handler.ts    -> dist/functions/NAME.mjs   a Lambda, with everything bundled in
 *                                   dist/lambda/NAME/         the same, alone in the folder that becomes its archive
 *   cli/runner/main.ts           -> dist/runner/owner.js      the runner's package, with a package.json of its own:
 *                                                             what its owner types
 *   gpu-runner/agent.ts          -> dist/runner/agent.js      what runs a home, loaded by the former
 *   gpu-runner/main.ts           -> dist/runner/runner.js     the same as a process for a service manager
 *   trainer/run/child.ts         -> dist/runner/child.js      the training process, killable at any moment
 *   workflows/workflows.ts       -> dist/workflow-bundle.js   what Temporal's sandbox loads
 *   web/main.tsx                 -> dist/web/                 the page; see build-web.mjs
 */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { buildWeb } from './build-web.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
const pkg = JSON.parse(readFileSync('package.json', 'utf8'));

const sources = [
  'core',
  'contracts',
  'services',
  'trainer',
  'audit',
  'workflows',
  'functions',
  'gpu-runner',
  'gatekeeper',
  'local',
  'cli',
  'infra',
  'bench',
];
const files = sources.flatMap((folder) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true }).map((name) => join(folder, String(name)))
    : [],
);

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  sourcemap: true,
  logLevel: 'warning',
  define: { ROUNDTABLE_VERSION: JSON.stringify(pkg.version) },
};
/** Bundled CommonJS dependencies call require for Node's own modules; ESM output has none unless we give it one. */
const requireShim = {
  js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
};

/** zod's messages in fifty languages are a twentieth of a function; ours are English. */
const englishOnly = {
  name: 'english-only',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
    }));
  },
};

const processes = Object.fromEntries(
  files
    .filter((file) => /(^|\/)main\.ts$/.test(file) && !/^(gpu-runner|cli\/runner)\//.test(file))
    .map((file) => [file.replace(/\/main\.ts$/, ''), file]),
);
const lambdas = Object.fromEntries(
  files
    .filter((file) => /^functions\/[^/]+\/handler\.ts$/.test(file))
    .map((file) => [file.split('/')[1], file]),
);
const runner = {
  owner: 'cli/runner/main.ts',
  agent: 'gpu-runner/agent.ts',
  ...(existsSync('gpu-runner/main.ts') ? { runner: 'gpu-runner/main.ts' } : {}),
  ...(existsSync('trainer/run/child.ts') ? { child: 'trainer/run/child.ts' } : {}),
};

rmSync('dist/runner/web', { recursive: true, force: true });
mkdirSync('dist/runner', { recursive: true });
const [runnerBuild] = await Promise.all([
  build({ ...common, entryPoints: runner, outdir: 'dist/runner', packages: 'external', metafile: true }),
  build({ ...common, entryPoints: processes, outdir: 'dist', packages: 'external', splitting: false }),
  build({
    ...common,
    entryPoints: lambdas,
    outdir: 'dist/functions',
    outExtension: { '.js': '.mjs' },
    banner: requireShim,
    minify: true,
    keepNames: true,
    plugins: [englishOnly],
    // Packages as ES modules, of which only what is used comes along: a quarter less than as CommonJS.
    mainFields: ['module', 'main'],
  }),
  bundleWorkflows(),
  buildWeb(),
]);
writeRunnerPackage();
// The runner serves the same page to its owner.
cpSync('dist/web', 'dist/runner/web', { recursive: true });
for (const name of Object.keys(lambdas)) {
  mkdirSync(`dist/lambda/${name}`, { recursive: true });
  copyFileSync(`dist/functions/${name}.mjs`, `dist/lambda/${name}/index.mjs`);
}

/** Webpack needs seconds, so the bundle is kept until a source that can enter it, or the SDK, changes. */
async function bundleWorkflows() {
  const entry = join(root, 'workflows/workflows.ts');
  if (!existsSync(entry)) return;
  const hash = createHash('sha256').update(pkg.dependencies['@temporalio/worker']);
  for (const file of files.filter((name) => /^(core|workflows)\/.*\.ts$/.test(name)).sort())
    hash.update(file).update(readFileSync(file));
  const stamp = hash.digest('hex');
  if (
    existsSync('dist/workflow-bundle.stamp') &&
    readFileSync('dist/workflow-bundle.stamp', 'utf8') === stamp
  )
    return;
  const { bundleWorkflowCode } = await import('@temporalio/worker');
  const quiet = { trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error, log() {} };
  const { code } = await bundleWorkflowCode({ workflowsPath: entry, logger: quiet });
  writeFileSync('dist/workflow-bundle.js', code);
  writeFileSync('dist/workflow-bundle.stamp', stamp);
}

/**
 * The runner is installed alone on its owner's machine: exactly what its bundles import, in the versions that this
 * checkout is tested with, and nothing of the stack.
 */
function writeRunnerPackage() {
  const imported = new Set();
  for (const { imports } of Object.values(runnerBuild.metafile.outputs))
    for (const { path, external } of imports)
      if (external && !isBuiltin(path)) imported.add(/^(?:@[^/]+\/)?[^/]+/.exec(path)[0]);
  const dependencies = {};
  for (const name of [...imported].sort()) {
    const version = pkg.dependencies[name];
    if (!/^\d+\.\d+\.\d+$/.test(version ?? ''))
      throw new Error(`The runner imports ${name}; package.json must pin its version under dependencies.`);
    dependencies[name] = version;
  }
  const manifest = {
    name: 'roundtable-runner',
    version: pkg.version,
    description: 'Trains on your data, on your machine, under your rules, for a Roundtable consortium.',
    license: pkg.license,
    type: 'module',
    engines: pkg.engines,
    bin: { 'roundtable-runner': 'owner.js' },
    files: [...Object.keys(runner).map((name) => `${name}.js`), 'web'],
    dependencies,
  };
  writeFileSync('dist/runner/package.json', JSON.stringify(manifest, null, 2) + '\n');
  copyFileSync('LICENSE', 'dist/runner/LICENSE');
  // Links lead to pages that the package does not have.
  const guide = readFileSync('docs/runner.md', 'utf8').replace(/\[([^\]]+)\]\([\w-]+\.md\)/g, '$1');
  writeFileSync('dist/runner/README.md', guide);
}
