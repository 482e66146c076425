import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StackEvent } from '#cli/progress/events.js';
import { report as reportSchema, type Report } from '#cli/report/report.js';
import { readModel } from '#trainer/model.js';
import { until } from '../support/until.js';
import { type } from './person.js';

/**
 * The whole product on its real parts: `npm start` with a person's own CSV, then every verb against the stack that
 * it leaves up. The tests build on each other, as a person's evening does.
 */
let folder = '';
let state = '';
let demo: ChildProcess;
let events: StackEvent[] = [];
let report: Report;
const run = (...argv: string[]) => type([...argv, '--state', state], { folder });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-demo-'));
  state = join(folder, 'state');
  cpSync('examples/own-csv', folder, { recursive: true });
  writeFileSync(
    join(folder, 'job.yaml'),
    readFileSync(join(folder, 'job.yaml'), 'utf8').replace('rounds: 6', 'rounds: 4'),
  );
  const data = ['data', 'import', '--label', 'kind', '--scale', 'data/scale.json'];
  await run(...data, '--csv', 'flowers-train.csv', '--standardise', '--out', 'data/train.safetensors');
  await run(...data, '--csv', 'flowers-held-out.csv', '--out', 'data/held-out.safetensors');
  const cli = join(process.cwd(), 'dist/cli.js');
  const argv = [
    cli,
    'demo',
    '--job',
    'job.yaml',
    '--state',
    state,
    '--report',
    'report.json',
    '--progress',
    'json',
  ];
  demo = spawn(process.execPath, argv, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  const out = await untilUp(demo);
  events = out.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as StackEvent] : []));
  report = reportSchema.parse(JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')));
}, 240_000);

afterAll(async () => {
  if (demo.exitCode === null) demo.kill('SIGTERM');
  await ended(demo);
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

describe('npm start', () => {
  test('names the page in its first line, and the stack serves it there', async () => {
    const [first] = events;
    if (first?.type !== 'note') throw new Error(`the first line is ${first?.type}`);
    const [, url = ''] = /^the page: (http:\S+)/.exec(first.text) ?? [];
    expect(url).toBe(`${report.stack.api}/`);
    expect(await (await fetch(url)).text()).toContain('<title>Roundtable</title>');
  });

  test('starts the job by a signed webhook and follows it to its end', () => {
    const kinds = events.map((event) => event.type);
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'webhook-sent',
        trigger: 'flowers-push',
        status: 202,
        job: report.job,
      }),
    );
    expect(kinds.indexOf('webhook-sent')).toBeLessThan(kinds.indexOf('round'));
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'job-finished', job: expect.objectContaining({ state: 'done' }) }),
    );
  });

  test('trains a model that knows the held-out rows', () => {
    expect(report.rounds.map(({ round }) => round)).toEqual([1, 2, 3, 4]);
    expect(report.rounds.at(-1)?.accuracy).toBeGreaterThan(0.85);
  });

  test('goes on without the runner that is off for a while, and says why it was missing', () => {
    const without = report.rounds.filter(({ missing }) => missing.length > 0);
    expect(without.length).toBeGreaterThan(0);
    expect(without.every(({ participants, missing }) => participants.length === 4 - missing.length)).toBe(
      true,
    );
    expect(without[0]?.missing[0]?.reason).toMatch(/^[a-z-]+: \S/);
    expect(report.rounds[0]?.participants).toHaveLength(4);
  });

  test('pays everybody who took part, to the last unit', () => {
    const paid = report.rewards.map(({ claimed }) => BigInt(claimed));
    expect(
      report.rewards.every(({ earned, claimed, transaction }) => earned === claimed && transaction !== null),
    ).toBe(true);
    expect(paid.reduce((sum, amount) => sum + amount, 0n)).toBe(600n * 10n ** 18n);
  });
});

describe('the stack that it leaves up', () => {
  test('is shown by status, and a second up finds it', async () => {
    const status = (await run('status', '--json')).json<{
      parts: { name: string; state: string }[];
      stack: { api: string };
    }>();
    expect(status.parts.every((part) => part.state === 'ready')).toBe(true);
    expect(status.stack.api).toBe(report.stack.api);
    expect(await run('up')).toMatchObject({
      code: 0,
      out: expect.stringContaining('A stack already runs from'),
    });
  });

  test('shows jobs, runners and logs', async () => {
    expect((await run('job', 'list')).out).toMatch(/flowers\s+done\s+4\/4/);
    const runners = (await run('runner', 'list', '--json')).json<
      { name: string; data: { name: string }[] }[]
    >();
    expect(runners.map(({ name }) => name).sort()).toEqual(['harbour-1', 'north-1', 'north-2', 'river-1']);
    expect(runners.every(({ data }) => data.some(({ name }) => name === 'flowers'))).toBe(true);
    expect((await run('logs', 'worker', '-n', '3')).out.trim().split('\n')).toHaveLength(3);
    const { out } = await run('doctor');
    expect(out).toContain('the API answers');
    // Lines are broken where the terminal ends.
    expect(out.replace(/\s+/g, ' ')).toMatch(/\d+ files, SHA-256 0x[0-9a-f]{64}, as the stack serves them/);
  });

  test('watches a job that has ended by telling its rounds', async () => {
    const { code, out } = await run('job', 'watch', report.job.slice(0, 10));
    expect(code).toBe(0);
    expect(out).toContain(`round 4: version ${report.model?.version}`);
    expect(out).toContain('job flowers ended done after 4 rounds');
  });

  test('verifies its model from chain and archive, sums recomputed from the runners’ updates', async () => {
    const { code, json } = await run('model', 'verify', 'latest', '--json');
    const audit = json<{
      ok: boolean;
      rounds: { version: string; recomputed: boolean }[];
      checks: { ok: boolean | null }[];
    }>();
    expect([code, audit.ok]).toEqual([0, true]);
    expect(audit.rounds.at(-1)).toMatchObject({ version: report.model?.version, recomputed: true });
    expect(audit.rounds.every(({ recomputed }) => recomputed)).toBe(true);
    expect((await run('model', 'verify', '--all')).out).toContain('checks hold.');
  });

  test('finds a version that nobody made', async () => {
    const { code, out } = await run('model', 'verify', `0x${'ab'.repeat(32)}`);
    expect(code).toBe(1);
    expect(out).toMatch(/Wrong: .*the chain knows no version/s);
  });

  test('gives out the model as parameters and as an ordinary ONNX file', async () => {
    expect((await run('model', 'pull', 'latest', '--float', '--out', 'flowers.onnx')).code).toBe(0);
    const trained = readModel(new Uint8Array(readFileSync(join(folder, 'flowers.onnx'))));
    const untrained = readModel(new Uint8Array(readFileSync(join(folder, 'mlp.onnx'))));
    expect(trained.weights.map(({ name, dims }) => [name, dims])).toEqual(
      untrained.weights.map(({ name, dims }) => [name, dims]),
    );
    expect(trained.weights[0]?.data).not.toEqual(untrained.weights[0]?.data);
    const pulled = await run(
      'model',
      'pull',
      report.model?.version.slice(0, 12) ?? '',
      '--out',
      'flowers.safetensors',
      '--json',
    );
    expect(pulled.json()).toMatchObject({ version: report.model?.version });
    expect(existsSync(join(folder, 'flowers.safetensors'))).toBe(true);
    expect((await run('model', 'pull', '0x00', '--out', 'none')).err).toMatch(/^error NOT_FOUND/);
  });

  test('shows the lineage from the first version to the last', async () => {
    const { out } = await run('model', 'lineage', 'flowers');
    expect(out.split('\n').filter((line) => /[●○]/.test(line))).toHaveLength(5);
    expect((await run('model', 'lineage', 'nothing')).code).toBe(1);
  });

  test('shows who earned what, and claims nothing twice', async () => {
    const shown = (await run('rewards', 'show', '--json')).json<{
      accounts: { earned: string; claimed: string; claimable: string; rounds: unknown[] }[];
    }>();
    expect(shown.accounts.map(({ claimable }) => claimable)).toEqual(['0', '0', '0', '0']);
    // How many each took part in depends on how busy the machine is; the one that was off missed two.
    for (const { rounds } of shown.accounts) expect(rounds.length).toBeGreaterThanOrEqual(1);
    const claims = (await run('rewards', 'claim', '--json')).json<{ amount: string; transaction: null }[]>();
    expect(claims.map(({ amount, transaction }) => [amount, transaction])).toEqual(
      Array.from({ length: 4 }, () => ['0', null]),
    );
    expect((await run('rewards', 'claim', '--account', 'nobody')).code).toBe(2);
  });

  test('starts an encrypted job by a Standard Webhooks call, and members can open and verify its model', async () => {
    const text = readFileSync(join(folder, 'job.yaml'), 'utf8')
      .replace('name: flowers', 'name: sealed')
      .replace('rounds: 4', 'rounds: 1');
    writeFileSync(
      join(folder, 'sealed.yaml'),
      `${text}archive: { encrypt: true }\nevaluation: data/held-out.safetensors\n`,
    );
    const added = await run(
      'trigger',
      'add',
      'sealed',
      '--job',
      'sealed.yaml',
      '--kind',
      'standard',
      '--json',
    );
    const { secret } = added.json<{ secret: string }>();
    expect((await run('trigger', 'list')).out).toMatch(/sealed\s+standard/);
    expect((await run('trigger', 'add', 'sealed', '--job', 'sealed.yaml')).err).toMatch(/^error CONFLICT/);

    writeFileSync(join(folder, 'wrong.secret'), 'whsec_AAAA');
    expect((await run('trigger', 'test', 'sealed', '--secret-file', 'wrong.secret')).err).toMatch(
      /^error BAD_SIGNATURE/,
    );
    const sent = await type(['trigger', 'test', 'sealed', '--json', '--state', state], {
      folder,
      input: `${secret}\n`,
    });
    const { job } = sent.json<{ job: string }>();
    expect((await run('job', 'watch', job)).code).toBe(0);

    const versions = (await run('model', 'list', '--lineage', 'sealed', '--json')).json<
      { model: { versionId: string; params: string } }[]
    >();
    const sealed = versions.at(-1)?.model;
    expect((await run('model', 'verify', sealed?.versionId ?? '')).out).toContain(
      'recomputed from their updates, to the bit',
    );
    const pulled = await run('model', 'pull', sealed?.versionId ?? '', '--float', '--out', 'sealed.onnx');
    expect(pulled.code).toBe(0);

    const rotated = (await run('trigger', 'rotate', 'sealed', '--json')).json<{
      secret: string;
      trigger: { secrets: number };
    }>();
    expect(rotated.secret).not.toBe(secret);
    expect(rotated.trigger.secrets).toBe(2);
  });

  test('submits once under one key, pauses, resumes and cancels', async () => {
    writeFileSync(
      join(folder, 'long.yaml'),
      readFileSync(join(folder, 'job.yaml'), 'utf8')
        .replace('name: flowers', 'name: long')
        .replace('rounds: 4', 'rounds: 500'),
    );
    const submit = ['job', 'submit', 'long.yaml', '--key', 'only-once', '--json'];
    const first = (await run(...submit)).json<{ job: string; repeated: boolean }>();
    expect((await run(...submit)).json()).toEqual({ job: first.job, repeated: true });
    expect((await run('job', 'pause', first.job)).code).toBe(0);
    await until(async () => (await stateOf(first.job)) === 'paused', 'the pause', 60);
    expect((await run('job', 'resume', first.job)).code).toBe(0);
    await until(async () => (await stateOf(first.job)) === 'running', 'the job goes on', 60);
    expect((await run('job', 'cancel', first.job)).code).toBe(0);
    const watched = await run('job', 'watch', first.job);
    expect([watched.code, watched.out]).toEqual([1, expect.stringContaining('ended cancelled')]);
    expect((await run('job', 'cancel', first.job)).err).toMatch(/^error CONFLICT/);
  });

  test('stops as a whole with down', async () => {
    expect(await run('down')).toMatchObject({ code: 0, out: 'The stack has stopped.\n' });
    expect(await ended(demo)).toBe(0);
    expect((await run('job', 'list')).err).toMatch(/^error UNAVAILABLE: Nothing answers at/);
  });
});

async function stateOf(job: string): Promise<string | undefined> {
  const jobs = (await run('job', 'list', '--json')).json<{ job: string; state: string }[]>();
  return jobs.find((view) => view.job === job)?.state;
}

/** All that the demo wrote until it says that the stack stays up. */
function untilUp(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let out = '';
    child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
      out += piece;
      if (out.includes('"type":"up"')) resolve(out);
    });
    child.once('exit', (code) => reject(new Error(`the demo ended with ${code}:\n${out.slice(-2_000)}`)));
  });
}

function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once('exit', resolve));
}
