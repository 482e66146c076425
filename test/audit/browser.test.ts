import { createContext, SourceTextModule } from 'node:vm';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { build, type BuildResult } from 'esbuild';
import { auditVersion, recordChain, type Audit } from '#audit/index.js';
import { sha256 } from '#services/sha256.js';
import { startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { findChromium, openBrowser } from '#test/web/browser.js';
import { prepareCoordinator, writeHistory, type History } from './history.js';

/** Audit as a library: bundled for browsers, with nothing but what it is handed. */
let stack: ChainStack;
let history: History;
let record: string;
let bundle: BuildResult<{ write: false; metafile: true }>;

/** What a page hands in: a saved record, files by their ids, SHA-256; here all of it as JSON and base64. */
const page = `
  import { auditVersion, openSavedChain, savedChain } from './audit/index.ts';
  import { openChain } from './services/chain.ts';
  import { getBytes, sha256 } from 'ethers';
  globalThis.nodeReader = openChain;
  const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  globalThis.audit = async ({ record, files, updates, version }) => JSON.stringify(await auditVersion({
    chain: openSavedChain(savedChain.parse(JSON.parse(record))),
    archive: {
      get: async (id) => bytes(files[id].data),
      find: async (tags) => Object.entries(files)
        .filter(([, file]) => Object.entries(tags).every(([name, value]) => file.tags[name] === value))
        .map(([id, { tags }]) => ({ id, tags })),
    },
    hash: (data) => getBytes(sha256(data)),
    updateSource: async ({ updateRoot }) => bytes(updates[updateRoot]),
  }, version));
`;

beforeAll(async () => {
  stack = await startChainStack();
  await prepareCoordinator(stack);
  history = await writeHistory(stack, 'in a browser');
  const { chain, take } = recordChain(stack.chain);
  await auditVersion({ chain, archive: history.archive, hash: sha256 }, history.versions[2] ?? '0x');
  const saved = await take({ at: new Date(0).toISOString(), block: 0, from: [] });
  record = JSON.stringify(saved, (_key, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  bundle = await build({
    stdin: { contents: page, resolveDir: process.cwd() },
    bundle: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
});
afterAll(() => stack.stop());

const code = () => bundle.outputFiles[0]?.text ?? '';

const base64 = (data: Uint8Array) => Buffer.from(data).toString('base64');

async function handedIn() {
  const records = await history.archive.find({});
  const files = await Promise.all(
    records.map(async ({ id, tags }) => [id, { data: base64(await history.archive.get(id)), tags }] as const),
  );
  return {
    record,
    files: Object.fromEntries(files),
    updates: Object.fromEntries([...history.updates].map(([root, file]) => [root, base64(file)])),
    version: history.versions[2] ?? '0x',
  };
}

function expectWhole(audit: Audit): void {
  expect(audit.wrong).toBeNull();
  expect(audit.rounds.map(({ recomputed }) => recomputed)).toEqual([true, true]);
  expect(audit.checks.map(({ check }) => check)).toEqual(
    expect.arrayContaining(['signatures', 'step', 'tree', 'payments']),
  );
}

test('its bundle takes nothing from Node', () => {
  // A package that has another file for browsers names what that leaves out; nothing else may be missing.
  const imported = Object.values(bundle.metafile.inputs).flatMap(({ imports }) => imports);
  expect(imported.filter(({ path, external }) => external === true || path.startsWith('node:'))).toEqual([]);
  const own = Object.keys(bundle.metafile.inputs).filter((path) =>
    /^(core|contracts|services|trainer|audit)\//.test(path),
  );
  expect(own.length).toBeGreaterThan(30);
  expect(
    own.filter((path) =>
      /services\/(archive|archiveGateway|archiveTransaction|sealing|sha256)\.ts$/.test(path),
    ),
  ).toEqual([]);
});

test('it verifies a version where there is neither process nor Buffer', async () => {
  // One set of typed arrays for both sides, as a page has.
  const web = {
    ArrayBuffer,
    DataView,
    Uint8Array,
    Int32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    atob,
    btoa,
    TextEncoder,
    TextDecoder,
    WebAssembly: Reflect.get(globalThis, 'WebAssembly') as unknown,
    performance,
    URL,
    AbortSignal,
    fetch,
    crypto,
    setTimeout,
    clearTimeout,
    console,
  };
  const context = createContext({ ...web });
  context['globalThis'] = context['self'] = context;
  const module = new SourceTextModule(code(), { context });
  await module.link((name) => {
    throw new Error(`it imports ${name}`);
  });
  await module.evaluate();
  const { audit } = context as { audit: (input: unknown) => Promise<string> };
  expectWhole(JSON.parse(await audit(await handedIn())) as Audit);
});

const chromium = findChromium();
(chromium === null ? test.skip : test)('it verifies a version in a browser', async () => {
  const browser = await openBrowser(chromium ?? '');
  try {
    const tab = await browser.newPage();
    await tab.addScriptTag({ content: code(), type: 'module' });
    await tab.waitForFunction(`typeof audit === 'function'`);
    const input = JSON.stringify(await handedIn());
    expectWhole(JSON.parse(await tab.evaluate<string>(`audit(${input})`)) as Audit);
  } finally {
    await browser.close();
  }
});
