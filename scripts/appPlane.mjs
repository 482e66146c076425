/**
 * Runs sst.config.ts for a stage as `sst deploy` would, without an account: SST's own bundling step, its platform,
 * and Pulumi with mocks in place of AWS. Prints what would be created as JSON.
 *
 *   node scripts/appPlane.mjs STAGE [FOLDER OF SETTINGS]
 *
 * Needs dist/ (npm run build). SST's platform is installed at the first call: 1 to 2 minutes, 320 MB in .sst.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
process.chdir(root);
const [stage, settingsFolder] = process.argv.slice(2);
if (!stage) throw new Error('Which stage? node scripts/appPlane.mjs STAGE');
if (settingsFolder) process.env.ROUNDTABLE_STAGES = settingsFolder;
const platform = join(root, '.sst/platform');
const work = join(root, '.sst/offline', `${stage}-${process.pid}`);

// SST prints advice to stdout; what is asked for goes there alone.
console.log = console.error;
installPlatform();
const server = await answerRpc();
try {
  const { app, resources, taken } = await runProgram();
  process.stdout.write(JSON.stringify({ app, resources, taken }));
} finally {
  server.close();
  rmSync(work, { recursive: true, force: true });
}

function installPlatform() {
  const wanted = JSON.parse(readFileSync('node_modules/sst/package.json', 'utf8')).version;
  const has = existsSync(join(platform, 'version')) && readFileSync(join(platform, 'version'), 'utf8').trim();
  if (has === wanted && existsSync(join(platform, 'node_modules/@pulumi/aws'))) return;
  // `sst install` evaluates app() of the stage, so it needs the settings of that stage too.
  execFileSync('node_modules/.bin/sst', ['install', '--stage', stage], {
    stdio: ['ignore', process.stderr, process.stderr],
    env: {
      ...process.env,
      SST_SKIP_DEPENDENCY_CHECK: '1',
      SST_NO_BUN: '1',
      SST_TELEMETRY_DISABLED: '1',
    },
  });
}

/** What the `sst` program answers to its own components: the account's bootstrap, and where a bundle lies. */
async function answerRpc() {
  const answers = {
    'Provider.Aws.Bootstrap': () => ({ asset: 'sst-asset-mock', state: 'sst-state-mock' }),
    'Runtime.Build': ({ handler, bundle }) => ({
      handler,
      out: join(root, bundle),
      errors: existsSync(join(root, bundle)) ? [] : [`${bundle} does not exist. npm run build`],
      sourcemaps: [],
    }),
  };
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { method, params } = JSON.parse(body);
    const answer = answers[method];
    response.end(
      JSON.stringify(answer ? { result: answer(params[0]) } : { error: `rpc: can't find ${method}` }),
    );
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  process.env.SST_SERVER = `http://127.0.0.1:${server.address().port}`;
  return server;
}

async function runProgram() {
  const config = await bundle(
    'config',
    'globalThis.$config = (it) => it;',
    `export { default } from './sst.config.ts';`,
    {},
  );
  const { default: definition } = await import(config);
  const app = await definition.app({ stage });

  const resources = [];
  const taken = [];
  const require = createRequire(join(platform, 'package.json'));
  const pulumi = require('@pulumi/pulumi');
  process.env.PULUMI_CONFIG = JSON.stringify({ 'aws:region': app.providers.aws.region });
  process.env.SST_SECRET_ChainRpcUrls = 'https://chain.example.org';
  await pulumi.runtime.setMocks(mocks(resources, taken), app.name, stage, false);

  const $app = { ...app, stage, removal: app.removal, protect: app.protect ?? false };
  const $cli = {
    command: 'deploy',
    dev: false,
    paths: { home: work, root, work, platform },
    state: { version: {} },
  };
  const program = await bundle(
    'program',
    [
      `import * as _aws from '@pulumi/aws';`,
      `import * as _sst from '${platform}/src/components/index.ts';`,
      `globalThis.aws = _aws; globalThis.sst = _sst;`,
    ].join('\n'),
    `import { run } from '${platform}/src/auto/run.ts'; import program from './sst.config.ts'; export const start = () => run(program.run);`,
    { $app: JSON.stringify($app), $cli: JSON.stringify($cli), $dev: 'false' },
    [join(platform, 'src/shim/run.js')],
  );
  const { start } = await import(program);
  await pulumi.runtime.runInPulumiStack(start);
  // Resources are made inside promises of other resources: all are there when none is under way any more.
  await pulumi.runtime.disconnect();
  return { app, resources, taken };
}

/** SST's esbuild step: the program, its globals, and everything of the platform's dependencies left outside. */
async function bundle(name, globals, code, define, inject = []) {
  mkdirSync(work, { recursive: true });
  const shim = join(work, `${name}.globals.js`);
  writeFileSync(shim, globals);
  // Beside SST's own outputs, so that the platform's node_modules is found.
  const outfile = join(platform, `offline.${stage}.${process.pid}.${name}.mjs`);
  await build({
    stdin: { contents: `import '${shim}';\n${code}`, resolveDir: root, loader: 'ts' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'esnext',
    keepNames: true,
    outfile,
    logLevel: 'error',
    inject,
    define,
    packages: 'external',
    banner: {
      js: [
        `import { createRequire as topLevelCreateRequire } from 'module';`,
        `import { fileURLToPath as topLevelFileUrlToPath } from 'url';`,
        `const require = topLevelCreateRequire(import.meta.url);`,
        `const __filename = topLevelFileUrlToPath(import.meta.url);`,
        `const __dirname = topLevelFileUrlToPath(new URL('.', import.meta.url));`,
      ].join('\n'),
    },
  });
  process.once('exit', () => rmSync(outfile, { force: true }));
  return pathToFileURL(outfile).href;
}

/** Pulumi's engine and AWS, as far as a program sees them before anything exists. */
function mocks(resources, taken) {
  const account = '111122223333';
  return {
    newResource({ type, name, inputs }) {
      resources.push({ type, name, inputs });
      const arn = `arn:aws:mock:${type}:${name}`;
      return {
        id: `${name}-id`,
        state: {
          ...inputs,
          arn,
          name: inputs.name ?? name,
          bucket: inputs.bucket ?? name,
          url: `https://mock/${name}`,
          apiEndpoint: `https://${name}.mock`,
          domainName: `${name}.mock`,
          bucketRegionalDomainName: `${name}.s3.mock`,
          executionArn: arn,
        },
      };
    },
    call({ token, inputs }) {
      if (token.endsWith(':getPolicyDocument'))
        return { ...inputs, json: JSON.stringify({ Statement: inputs.statements ?? [] }) };
      if (token.endsWith(':getParameter')) {
        taken.push(inputs.name);
        return { ...inputs, value: `value-of-${inputs.name}` };
      }
      if (token.endsWith(':getRegion'))
        return { region: 'eu-central-1', name: 'eu-central-1', id: 'eu-central-1' };
      if (token.endsWith(':getPartition')) return { partition: 'aws', dnsSuffix: 'amazonaws.com' };
      if (token.endsWith(':getCallerIdentity'))
        return { accountId: account, arn: `arn:aws:iam::${account}:root` };
      return inputs;
    },
  };
}
