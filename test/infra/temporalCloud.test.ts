import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { computeGives, parameterName } from '#infra/contract.js';
import { synthesiseCompute, type Template } from '#infra/synthesis.js';
import { withExample } from './appPlane.js';

/** Production on Temporal Cloud, in the middle of an upgrade, with a collector of traces. */
let plane: Record<string, Template>;
beforeAll(async () => {
  plane = await withExample('production', (folder) => {
    const file = join(folder, 'production.json');
    const example = JSON.parse(readFileSync(file, 'utf8')) as object;
    const temporal = { address: 'consortium.a1b2c.tmprl.cloud:7233', namespace: 'consortium.a1b2c' };
    const tracesEndpoint = 'http://collector.internal:4318';
    writeFileSync(file, JSON.stringify({ ...example, temporal, tracesEndpoint }));
    return synthesiseCompute('production', { root: process.cwd(), folder, context: { draining: 'before' } });
  });
}, 240_000);

const resources = (type: string, stack?: string) =>
  Object.entries(plane)
    .filter(([name]) => stack === undefined || name === stack)
    .flatMap(([, { Resources }]) => Object.values(Resources))
    .filter(({ Type }) => Type === type);

test('on Temporal Cloud there are no database and no servers, but three settings and one secret', () => {
  expect(Object.keys(plane).sort()).toEqual(['Fleet', 'Gatekeeper', 'Network', 'Worker']);
  const given = resources('AWS::SSM::Parameter').map(({ Properties }) => Properties['Name']);
  expect(given.map(String).sort()).toEqual(
    computeGives.map((name) => parameterName('production', name)).sort(),
  );
  for (const name of ['Gatekeeper', 'Worker']) {
    const text = JSON.stringify(plane[name]);
    expect(text).toContain('"TEMPORAL_ADDRESS","Value":"consortium.a1b2c.tmprl.cloud:7233"');
    expect(text).toContain('TEMPORAL_CREDENTIALS_FILE');
  }
});

test('the worker exports traces where the settings say', () => {
  expect(JSON.stringify(plane['Worker'])).toContain(
    '"OTEL_EXPORTER_OTLP_ENDPOINT","Value":"http://collector.internal:4318"',
  );
});

test('the worker says which build it is; an upgrade keeps the build before beside it, which sends nothing', () => {
  const builds = resources('AWS::ECS::TaskDefinition', 'Worker').map(({ Properties }) => {
    const [only] = Properties['ContainerDefinitions'] as {
      Environment: { Name: string; Value: unknown }[];
    }[];
    const value = (name: string) => only?.Environment.find(({ Name }) => Name === name)?.Value;
    return [value('WORKER_ROLE'), value('WORKER_BUILD_ID')];
  });
  expect(builds).toEqual([
    ['current', { Ref: 'ImageTag' }],
    ['draining', 'before'],
  ]);
  expect(resources('AWS::ECS::Service', 'Worker')).toHaveLength(2);
});
