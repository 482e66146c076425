import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { Audit, Lineage } from '#audit/index.js';
import type { RecordReport } from '#cli/model/record.js';
import type { Hex } from '#core/hex.js';
import { prepareCoordinator, writeHistoryTo, type History } from '#test/audit/history.js';
import type { HistoryArchive } from '#test/audit/memoryArchive.js';
import { startChainStack } from '#test/services/chainStack.js';
import { endGatewaysBetween, startGatewayBetween } from '#test/services/gatewayBetween.js';
import { startAuditor, type Auditor } from './auditor.js';
import { type } from './person.js';

let auditor: Auditor;
let folder: string;
let history: History<HistoryArchive>;
let version: Hex;

type Report = Audit & { asked: RecordReport };

beforeAll(async () => {
  auditor = await startAuditor(startChainStack);
  const { stack, archive } = auditor;
  ({ folder } = auditor);
  await prepareCoordinator(stack);
  history = await writeHistoryTo(stack, 'audited', { archive });
  version = history.versions[2] ?? '0x';
  auditor.keep(history);
}, 120_000);
afterEach(endGatewaysBetween);

const online = (...gateways: string[]) => auditor.place(...gateways);
const run = (...argv: string[]) => type(['model', ...argv], { folder });

describe('without any stack', () => {
  test('a version is verified from a node and a gateway, and what could not be checked stands on a named word', async () => {
    const { code, out } = await run('verify', version.slice(0, 10), ...online());
    expect(code).toBe(0);
    expect(out).toMatch(/✓ +signatures +EIP-712, signer recovered, low s +2 +\d/);
    expect(out).toMatch(/○ +sum +not recomputed +2/);
    expect(out).toMatch(/Archive: 127\.0\.0\.1:\d+ served 8 files\./);
    const stands = `rounds 1-2 of job ${history.job.slice(0, 10)} on the word of coordinator ${history.payer}`;
    expect(out.replaceAll('\n', ' ')).toContain(stands);
  });

  test('sums are recomputed from a folder of updates', async () => {
    const { code, out } = await run('verify', 'latest', ...online(), '--updates', 'updates');
    expect(code).toBe(0);
    expect(out).toContain('The sums of all 2 rounds were recomputed from their updates, to the bit.');
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test('sums are recomputed from updates that a server has', async () => {
    const server = await startGatewayBetween(auditor.gateway);
    server.interfere = async (path) => {
      const file = history.updates.get((/^\/held\/(0x\w+)\.bin$/.exec(path)?.[1] ?? '0x') as Hex);
      return file ? { status: 200, body: Buffer.from(file) } : { status: 404, body: Buffer.of() };
    };
    const { code, json } = await run(
      'verify',
      version,
      ...online(),
      '--updates',
      `${server.url}/held/`,
      '--json',
    );
    expect([code, json<Report>().rounds.map(({ recomputed }) => recomputed)]).toEqual([0, [true, true]]);
  });

  test('an update that is not the one its name says is wrong, and named by its runner', async () => {
    const [root, file] = [...history.updates][4] ?? ['0x', new Uint8Array()];
    const changed = file.slice();
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    mkdirSync(join(folder, 'forged'));
    for (const [name, bytes] of history.updates)
      writeFileSync(join(folder, 'forged', `${name}.bin`), name === root ? changed : bytes);
    const { code, json } = await run('verify', version, ...online(), '--updates', 'forged', '--json');
    const { wrong } = json<Report>();
    expect(code).toBe(1);
    expect(wrong).toMatchObject({ check: 'sum', place: { job: history.job, round: 2 } });
    expect(wrong?.place.runner).toBe(history.runners[1]?.address.toLowerCase());
    rmSync(join(folder, 'forged'), { recursive: true });
  });

  test('the lineage is drawn from chain and archive', async () => {
    const { code, json } = await run('lineage', 'audited', ...online(), '--json');
    expect(code).toBe(0);
    expect(json<Lineage>().versions.map(({ round, version: id }) => [round, id])).toEqual(
      history.versions.map((id, round) => [round, id]),
    );
    expect((await run('lineage', 'audited', ...online(), '--svg', 'audited.svg')).code).toBe(0);
    expect(readFileSync(join(folder, 'audited.svg'), 'utf8')).toContain(
      '<title id="title">Lineage audited</title>',
    );
  });

  test('it says what is missing, and what does not go together', async () => {
    const nothing = await run('verify', version);
    expect([nothing.code, nothing.err]).toEqual([
      2,
      expect.stringMatching(/--rpc and --gateway and --deployment must/),
    ]);
    const both = await run('verify', version, '--offline', 'x', '--save', 'y');
    expect([both.code, both.err]).toEqual([
      2,
      expect.stringContaining('--offline reads a folder and nothing else'),
    ]);
    const unknown = await run('verify', '0x000000', ...online());
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('NOT_FOUND')]);
  });
});

describe('of several gateways', () => {
  test('one that answers 404 for confirmed files and one that gives other bytes are passed over, and named', async () => {
    const forgetful = await startGatewayBetween(auditor.gateway);
    forgetful.interfere = async () => ({ status: 404, body: Buffer.from('Not Found.') });
    const liar = await startGatewayBetween(auditor.gateway);
    const model = history.archived['model 2'] ?? '';
    liar.interfere = async (path, forward) => {
      const { status, body } = await forward();
      return { status, body: path === `/${model}` ? Buffer.concat([body.subarray(1), Buffer.of(7)]) : body };
    };
    const all = online(forgetful.url, liar.url, auditor.gateway);
    const { code, json } = await run('verify', version, ...all, '--json');
    expect(code).toBe(0);
    const { gateways, served } = json<Report>().asked;
    expect(gateways).toEqual([
      { gateway: forgetful.url, served: 0, absent: 16, wrong: [], unreachable: 0 },
      { gateway: liar.url, served: 7, absent: 0, wrong: [model], unreachable: 0 },
      { gateway: auditor.gateway, served: 1, absent: 0, wrong: [], unreachable: 0 },
    ]);
    expect(served).toContainEqual({ id: model, gateway: auditor.gateway });
    const shown = await run('verify', version, ...all);
    expect(shown.out.replaceAll('\n', ' ')).toContain(`gave something else for ${model}`);
  });

  test('which all give other bytes, the file is wrong', async () => {
    const liar = await startGatewayBetween(auditor.gateway);
    const model = history.archived['model 1'] ?? '';
    liar.interfere = async (path, forward) => {
      const { status, body } = await forward();
      return { status, body: path === `/${model}` ? body.fill(body.readUInt8(90) ^ 1, 90, 91) : body };
    };
    const { code, out } = await run('verify', version, ...online(liar.url));
    expect(code).toBe(1);
    expect(out).toMatch(/✗ +model file/);
    expect(out.replaceAll('\n', ' ')).toContain(
      `Wrong: round 1 of job ${history.job}, model file: ${liar.url} gave bytes for ${model}`,
    );
    expect(out).toContain('Nothing behind it was looked at.');
  });
});

const saved = () => join(folder, 'record');

describe('a saved record', () => {
  beforeAll(async () => {
    const { code } = await run('verify', '--all', ...online(), '--save', 'record');
    expect(code).toBe(0);
    cpSync(join(folder, 'updates'), join(saved(), 'updates'), { recursive: true });
  });

  test('is verified with no network, and says on whose word it stands', async () => {
    const { code, json } = await run('verify', 'latest', '--offline', 'record', '--json');
    const { ok, checks, rounds, asked } = json<Report>();
    expect([code, ok, rounds.map(({ recomputed }) => recomputed)]).toEqual([0, true, [true, true]]);
    expect(asked).toMatchObject({ gateways: [], served: [] });
    const host = new URL(auditor.stack.anvil.url).host;
    expect(checks[0]).toMatchObject({
      check: 'record',
      ok: null,
      detail: expect.stringMatching(`as ${host} gave them on 20.*word of whoever made the folder`),
    });
    const { out } = await run('verify', '--all', '--offline', 'record');
    expect(out.replaceAll('\n', ' ')).toContain('stands on the word of whoever made the folder');
    expect((await run('lineage', '--offline', 'record', '--json')).json<Lineage>().versions).toHaveLength(3);
  });

  test('does not say that a version does not exist which was only not saved', async () => {
    const { code, err } = await run('verify', `0x${'ab'.repeat(32)}`, '--offline', 'record');
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(/UNAVAILABLE: The saved record of the chain has no version/),
    ]);
  });

  test('is found to be wrong whichever byte of an archived file, header or update is another', async () => {
    const files = ['archive', 'updates'].flatMap((part) =>
      readdirSync(join(saved(), part)).map((name) => join(saved(), part, name)),
    );
    expect(files).toHaveLength(2 * 8 + 6);
    const places = fc.constantFrom(...files).chain((file) =>
      fc.record({
        file: fc.constant(file),
        at: fc.nat(readFileSync(file).length - 1),
        flip: fc.integer({ min: 1, max: 255 }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(places, async ({ file, at, flip }) => {
        const original = readFileSync(file);
        const changed = Buffer.from(original);
        changed[at] = (changed[at] ?? 0) ^ flip;
        writeFileSync(file, changed);
        try {
          const { code, json } = await run('verify', version, '--offline', 'record', '--json');
          const { ok, wrong } = code === 1 ? json<Report>() : { ok: true, wrong: null };
          // A header is JSON: white space behind it, or a field that we do not know, says nothing.
          const harmless = file.endsWith('.json') && sameHeader(original, changed);
          expect([code, ok]).toEqual(harmless ? [0, true] : [1, false]);
          if (!harmless) expect(wrong?.subject).toMatch(/^(round [12]|start|epoch 1)$/);
        } finally {
          writeFileSync(file, original);
        }
      }),
      { numRuns: 300 },
    );
  }, 240_000);

  test('is found to be wrong whichever word of the chain’s record is another', async () => {
    const file = join(saved(), 'chain.json');
    const original = readFileSync(file, 'utf8');
    const hashes = [
      ...original.matchAll(
        /"(openHash|rootHeader|paramsRoot|versionId|manifestHash|specHash|opening|closing|root)": "0x/g,
      ),
    ];
    expect(hashes.length).toBeGreaterThan(15);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...hashes), fc.nat(55), async ({ index, 0: matched }, digit) => {
        // The first eight digits of a word are its time.
        const at = index + matched.length + 8 + digit;
        const other = original[at] === '0' ? '1' : '0';
        writeFileSync(file, original.slice(0, at) + other + original.slice(at + 1));
        try {
          const { code, json } = await run('verify', '--all', '--offline', 'record', '--json');
          expect([code, json<Report>().ok]).toEqual([1, false]);
        } finally {
          writeFileSync(file, original);
        }
      }),
      { numRuns: 60 },
    );
  }, 120_000);

  test('needs its folder', async () => {
    const { code, err } = await run('verify', version, '--offline', 'none');
    expect([code, err]).toEqual([1, expect.stringContaining('NOT_FOUND')]);
  });
});

function sameHeader(one: Buffer, other: Buffer): boolean {
  try {
    expect(JSON.parse(other.toString())).toEqual(JSON.parse(one.toString()));
    return true;
  } catch {
    return false;
  }
}
