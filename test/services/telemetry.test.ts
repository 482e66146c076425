import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  jobOfWorkflow,
  groupWorkflowId,
  jobWorkflowId,
  retentionWorkflowId,
  roundWorkflowId,
  settlementWorkflowId,
} from '#core/names.js';
import { RoundtableError } from '#core/errors.js';
import { openFunctionMetrics } from '#services/telemetry/emf.js';
import { openPrometheus } from '#services/telemetry/prometheus.js';
import { parentSpanId, rootSpanId, roundSpanId, traceIdOf } from '#services/telemetry/traceIds.js';
import { noTraces, openTraces, traced } from '#services/telemetry/traces.js';
import { startCollector, type Collector } from '../support/collector.js';

const job = `0x${'0123456789abcdef'.repeat(4)}` as const;

describe('the ids of a trace', () => {
  test('follow from the job and differ between its rounds', () => {
    expect(traceIdOf(job)).toBe('0123456789abcdef0123456789abcdef');
    expect(rootSpanId(job)).toBe('0123456789abcdef');
    expect(roundSpanId(job, 1)).toMatch(/^[0-9a-f]{16}$/);
    expect(roundSpanId(job, 1)).not.toBe(roundSpanId(job, 2));
    expect(parentSpanId({ job })).toBe(rootSpanId(job));
    expect(parentSpanId({ job, round: 2 })).toBe(roundSpanId(job, 2));
  });

  test('are found from the id of every workflow of a job', () => {
    expect(jobOfWorkflow(jobWorkflowId(job))).toEqual({ job });
    expect(jobOfWorkflow(retentionWorkflowId(job))).toEqual({ job });
    expect(jobOfWorkflow(roundWorkflowId(job, 12))).toEqual({ job, round: 12 });
    expect(jobOfWorkflow(groupWorkflowId(job, 3, 1))).toEqual({ job, round: 3 });
    expect(jobOfWorkflow(settlementWorkflowId(`0x${'aa'.repeat(20)}`, 1))).toBeNull();
  });
});

describe('traces', () => {
  const variable = 'OTEL_EXPORTER_OTLP_ENDPOINT';
  let collector: Collector;
  beforeEach(async () => {
    collector = await startCollector();
  });
  afterEach(async () => {
    delete process.env[variable];
    await collector.close();
  });

  test('without an endpoint are nothing at all', () => {
    expect(openTraces('test', fail)).toBe(noTraces);
  });

  test('are sent with the ids of their job, failures by their code alone', async () => {
    process.env[variable] = collector.url;
    const traces = openTraces('test', fail);
    const now = Date.now();
    traces.record({ name: 'webhook', of: { job }, start: now - 3_000, end: now - 2_750, heads: true });
    traces.record({
      name: 'round',
      of: { job, round: 1 },
      start: now - 2_000,
      end: now - 1_000,
      heads: true,
    });
    await traced(
      traces,
      { name: 'train', of: { job, round: 1 } },
      () => Promise.resolve(7),
      (steps) => ({ steps }),
    );
    const secret = new RoundtableError('KEY_INVALID', 'the key 0xabc is wrong');
    await expect(
      traced(traces, { name: 'sign', of: { job, round: 1 } }, () => Promise.reject(secret)),
    ).rejects.toBe(secret);
    await traces.flush();
    expect(collector.spans.map(({ service, name, traceId }) => [service, name, traceId])).toEqual(
      ['webhook', 'round', 'train', 'sign'].map((name) => ['roundtable-test', name, traceIdOf(job)]),
    );
    const [webhook, round, train, sign] = collector.spans;
    expect(webhook).toMatchObject({ spanId: rootSpanId(job), parentSpanId: undefined, milliseconds: 250 });
    expect(round).toMatchObject({ spanId: roundSpanId(job, 1), parentSpanId: rootSpanId(job) });
    expect(train).toMatchObject({ parentSpanId: roundSpanId(job, 1), attributes: { 'roundtable.steps': 7 } });
    expect(sign).toMatchObject({ failed: true, attributes: { 'error.type': 'KEY_INVALID' } });
    expect(collector.bodies.join('')).not.toContain('0xabc');
  });

  test('that cannot be sent are complained of, and hold nobody up', async () => {
    process.env[variable] = collector.url;
    await collector.close();
    const said: string[] = [];
    const traces = openTraces('test', (message) => said.push(message));
    traces.record({ name: 'webhook', of: { job }, start: Date.now() - 1, end: Date.now(), heads: true });
    const began = Date.now();
    await traces.flush();
    expect(Date.now() - began).toBeLessThan(10_000);
    expect(said.length).toBeGreaterThan(0);
    collector = await startCollector();
  });
});

describe('metrics', () => {
  afterEach(() => {
    delete process.env['AWS_LAMBDA_FUNCTION_NAME'];
  });

  test('of a Lambda are lines in CloudWatch’s embedded format; elsewhere there are none', () => {
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    openFunctionMetrics(write).record('messages', { function: 'dispatch', outcome: 'done' });
    expect(lines).toEqual([]);
    process.env['AWS_LAMBDA_FUNCTION_NAME'] = 'dispatch';
    const metrics = openFunctionMetrics(write);
    metrics.record('messages', { function: 'dispatch', outcome: 'done' });
    metrics.record('http_request_seconds', { method: 'GET', route: '/v1/jobs', status: '200' }, 0.25);
    const [count, seconds] = lines.map((line) => JSON.parse(line) as unknown);
    expect(count).toEqual({
      _aws: {
        Timestamp: expect.any(Number),
        CloudWatchMetrics: [
          {
            Namespace: 'Roundtable',
            Dimensions: [['function', 'outcome']],
            Metrics: [{ Name: 'messages', Unit: 'Count' }],
          },
        ],
      },
      function: 'dispatch',
      outcome: 'done',
      messages: 1,
    });
    expect(seconds).toMatchObject({ http_request_seconds: 0.25, route: '/v1/jobs', status: '200' });
    expect(lines.every((line) => line.endsWith('}\n'))).toBe(true);
  });

  test('of a process are fetched by Prometheus on the address that it was told, and nothing else is', async () => {
    const prometheus = openPrometheus();
    prometheus.record('jobs_queued', { by: 'webhook', repeated: 'false' });
    prometheus.record('jobs_queued', { by: 'webhook', repeated: 'false' }, 2);
    prometheus.record('round_seconds', { part: 'total' }, 3);
    const { port, close } = await prometheus.serve('127.0.0.1:0');
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
      expect(answer.headers.get('content-type')).toContain('text/plain');
      const text = await answer.text();
      expect(text).toContain('roundtable_jobs_queued_total{by="webhook",repeated="false"} 3');
      expect(text).toContain('roundtable_round_seconds_bucket{le="10",part="total"} 1');
      expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404);
    } finally {
      close();
    }
  });
});

function fail(message: string): never {
  throw new Error(message);
}
