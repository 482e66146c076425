import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Api } from '#cli/api.js';
import type { Hex } from '#core/hex.js';
import { distFile } from '#local/paths.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { readPorts } from '#local/supervisor/ports.js';
import { roundSpanId, rootSpanId, traceIdOf } from '#services/telemetry/traceIds.js';
import { startCollector, type CollectedSpan, type Collector } from '../support/collector.js';
import { few } from '../support/digits.js';
import { digitsSpec } from '../support/digitsJob.js';
import { apiOf, untilEnded, untilEnrolled, untilSettled } from '../support/stackApi.js';
import { until } from '../support/until.js';

/** One job on a whole stack, from the webhook to the claim, seen from a collector of traces and from Prometheus. */
const run = promisify(execFile);
let state: string;
let collector: Collector;
let stack: LocalStack;
let api: Api;
let job: Hex;
let secret: string;

beforeAll(async () => {
  collector = await startCollector();
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.url;
  state = mkdtempSync(join(tmpdir(), 'roundtable-traces-'));
  stack = await startStack({ stateDir: state, data: [{ name: 'digits', load: () => few(800) }] });
  api = apiOf(stack);
  await untilEnrolled(api, stack);
  const written = { name: 'traced', rounds: 2, rewards: { budget: '1000000' } };
  const spec = await digitsSpec(api, stack, written);
  ({ secret } = await api.addTrigger({ name: 'traced', kind: 'github', events: ['push'], refs: [], spec }));
  ({ job } = await deliver());
  await untilEnded(api, job, 120);
  await untilSettled(api, job, 120);
  await until(claim, 'a claim', 120);
  await until(
    () => ['claim', 'publishEpoch', 'finishEpoch', 'credit'].every((name) => named(name).length > 0),
    'a span of each kind',
    120,
  );
  await until(() => named('credit').length >= 2 * stack.runners.length, 'a span of each credit', 120);
}, 240_000);
afterAll(async () => {
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  await stack?.stop();
  await collector?.close();
  rmSync(state, { recursive: true, force: true });
}, 60_000);

/** The same push each time it is called. */
async function deliver(): Promise<{ job: Hex; repeated: boolean }> {
  const body = JSON.stringify({ ref: 'refs/heads/main', after: 'a'.repeat(40) });
  const signature = createHmac('sha256', secret).update(body).digest('hex');
  const headers = { 'x-github-event': 'push', 'x-hub-signature-256': `sha256=${signature}` };
  const response = await fetch(`${stack.file.api}/webhooks/traced`, { method: 'POST', headers, body });
  expect(response.status).toBe(202);
  return (await response.json()) as { job: Hex; repeated: boolean };
}

/** By the command that a person types. */
async function claim(): Promise<boolean> {
  const { stdout } = await run(
    process.execPath,
    [distFile('cli.js'), 'rewards', 'claim', '--json', '--state', state],
    {
      env: { PATH: process.env['PATH'], HOME: state, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
    },
  );
  return (JSON.parse(stdout) as { transaction: string | null }[]).some(
    ({ transaction }) => transaction !== null,
  );
}

const ours = (): CollectedSpan[] =>
  collector.spans.filter(({ attributes }) => attributes['roundtable.job'] === job);
const named = (name: string): CollectedSpan[] => ours().filter((span) => span.name === name);

describe('the trace of a job', () => {
  test('has one id, which follows from the job, from the webhook to the claim', () => {
    expect(new Set(ours().map(({ traceId }) => traceId))).toEqual(new Set([traceIdOf(job)]));
    const places = new Set(ours().map(({ service, name }) => `${service}: ${name}`));
    for (const place of [
      'roundtable-api: webhook',
      'roundtable-dispatch: dispatch',
      'roundtable-worker: prepareJob',
      'roundtable-worker: createJob',
      'roundtable-worker: round',
      'roundtable-worker: selectRunners',
      'roundtable-worker: openRound',
      'roundtable-runner: train',
      'roundtable-runner: upload',
      'roundtable-worker: aggregate',
      'roundtable-worker: evaluate',
      'roundtable-worker: archiveRound',
      'roundtable-worker: closeRound',
      'roundtable-worker: finishJob',
      'roundtable-reward: credit',
      'roundtable-worker: planEpoch',
      'roundtable-worker: publishEpoch',
      'roundtable-cli: claim',
    ])
      expect(places).toContain(place);
    expect(named('round')).toHaveLength(2);
    expect(named('train')).toHaveLength(2 * stack.runners.length);
  });

  test('hangs together: one beginning, rounds under it, each piece of work under its job or round', () => {
    const [first, ...more] = ours().filter(({ parentSpanId }) => parentSpanId === undefined);
    expect(more).toEqual([]);
    expect(first).toMatchObject({ name: 'webhook', spanId: rootSpanId(job) });
    const known = new Set(ours().map(({ spanId }) => spanId));
    expect(known.size).toBe(ours().length);
    for (const { name, parentSpanId } of ours())
      if (parentSpanId !== undefined) expect([name, known.has(parentSpanId)]).toEqual([name, true]);
    expect(
      named('round')
        .map(({ spanId }) => spanId)
        .sort(),
    ).toEqual([roundSpanId(job, 1), roundSpanId(job, 2)].sort());
    for (const span of named('train'))
      expect(span.parentSpanId).toBe(roundSpanId(job, Number(span.attributes['roundtable.round'])));
  });

  test('names what went on chain', async () => {
    const { transactions } = await api.job(job);
    const traced = ours().flatMap(({ attributes }) => {
      const list = attributes['roundtable.transactions'] as { values: { stringValue: string }[] } | undefined;
      return list?.values.map(({ stringValue }) => stringValue) ?? [];
    });
    for (const { hash } of transactions) expect(traced).toContain(hash);
  });

  test('shows a repeated delivery as one, without a second beginning', async () => {
    expect(await deliver()).toEqual({ job, repeated: true });
    await until(() => named('webhook').length === 2, 'the second span', 120);
    expect(
      named('webhook')
        .map(({ attributes }) => attributes['roundtable.repeated'])
        .sort(),
    ).toEqual([false, true]);
    expect(named('webhook').filter(({ spanId }) => spanId === rootSpanId(job))).toHaveLength(1);
  });
});

describe('metrics', () => {
  test('of the API: requests by route, jobs by what asked for them, and the process itself', async () => {
    const text = await metricsAt('apiMetrics');
    expect(text).toMatch(
      /roundtable_http_request_seconds_count\{[^}]*route="\/webhooks\/:trigger"[^}]*\} \d/,
    );
    expect(text).toMatch(
      /roundtable_http_request_seconds_count\{[^}]*route="\/v1\/jobs\/:job"[^}]*status="200"[^}]*\}/,
    );
    expect(text).toMatch(/roundtable_jobs_queued_total\{by="webhook",repeated="false"\} \d/);
    expect(text).toContain('process_resident_memory_bytes');
    expect(text).not.toContain(job);
  });

  test("of the worker: rounds, transactions and gas beside Temporal's own", async () => {
    const text = await metricsAt('workerMetrics');
    expect(value(text, 'roundtable_rounds_ended_total', 'phase="done"')).toBe(2);
    expect(value(text, 'roundtable_jobs_ended_total', 'state="done"')).toBe(1);
    expect(value(text, 'roundtable_transactions_total', 'purpose="close"')).toBe(2);
    expect(value(text, 'roundtable_gas_total', 'purpose="close"')).toBeGreaterThan(50_000);
    expect(value(text, 'roundtable_round_seconds_count', 'part="total"')).toBe(2);
    expect(text).toMatch(/temporal_activity_execution_latency/);
    expect(text).not.toContain(job);
  });
});

test('metrics of the gatekeeper: calls of runners, who is here, and when its certificate ends', async () => {
  const text = await metricsAt('gatekeeperMetrics');
  const answers = 'call="RespondActivityTaskCompleted",outcome="passed"';
  expect(value(text, 'roundtable_gatekeeper_call_seconds_count', answers)).toBeGreaterThan(0);
  expect(text).toMatch(/^roundtable_gatekeeper_runners [1-9]/m);
  const end = Number(/^roundtable_gatekeeper_certificate_end_seconds (\S+)$/m.exec(text)?.[1]);
  expect(end).toBeGreaterThan(Date.now() / 1_000);
  expect(text).not.toContain(job);
});

test('nothing secret is in spans, metrics or logs', async () => {
  const keys = readdirSync(join(state, 'keys'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8').trim())
    .filter((text) => /^0x[0-9a-f]{64}$/.test(text));
  expect(keys.length).toBeGreaterThan(3);
  const logs = readdirSync(join(state, 'logs')).map((name) =>
    readFileSync(join(state, 'logs', name), 'utf8'),
  );
  const all = [...collector.bodies, ...logs].join('\n');
  expect(all.length).toBeGreaterThan(10_000);
  expect(all).toContain(job);
  for (const hidden of [secret, ...keys.flatMap((key) => [key, key.slice(2)])])
    expect(all.includes(hidden)).toBe(false);
});

async function metricsAt(port: 'apiMetrics' | 'workerMetrics' | 'gatekeeperMetrics'): Promise<string> {
  return (await fetch(`http://127.0.0.1:${Number(readPorts(state)[port])}/metrics`)).text();
}

/** The value of the one sample of a metric that has this label. */
function value(text: string, metric: string, label: string): number {
  const line = text.split('\n').find((line) => line.startsWith(`${metric}{`) && line.includes(label));
  return Number(line?.split(' ').at(-1));
}
