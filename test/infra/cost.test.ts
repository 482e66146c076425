import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { growingCost, monthlyCost, type Load } from '#infra/cost.js';
import { functions } from '#infra/functions.js';
import { sumCost, sumSpeed } from '#infra/sumCost.js';
import { type } from '#test/cli/person.js';

const total = (load: Load) => monthlyCost(load).reduce((sum, { dollars }) => sum + dollars, 0);
const some: Load = { runners: 10, rounds: 300, parameters: 1_000_000, kind: 'production' };
const line = (load: Load, service: string) =>
  monthlyCost(load)
    .filter((each) => each.service === service)
    .reduce((sum, { dollars }) => sum + dollars, 0);

describe('the month of a stack', () => {
  test('is, by hand: 300 rounds to 10 runners of a model of 4 MB leave AWS as 12 GB', () => {
    expect(line(some, 'Transfer')).toBeCloseTo(12 * 0.09, 10);
    expect(line(some, 'API Gateway')).toBeCloseTo((10 * 730 * 60 + 12 * 3000) * 1e-6, 10);
    expect(line(some, 'VPC')).toBeCloseTo(2 * 730 * 0.05 + 1.2 * 0.045, 10);
    expect(line(some, 'ECS')).toBeCloseTo(730 * (7 * 0.04048 + 18 * 0.004445), 10);
    expect(growingCost(some)).toBeCloseTo(11 * 300 * 0.004 * 0.023, 10);
  });

  test('never falls with more runners, rounds or parameters, and is less for one person', () => {
    const counts = fc.record({
      runners: fc.integer({ min: 0, max: 10_000 }),
      rounds: fc.integer({ min: 0, max: 100_000 }),
      parameters: fc.integer({ min: 0, max: 10_000_000_000 }),
    });
    fc.assert(
      fc.property(counts, fc.constantFrom('runners', 'rounds', 'parameters'), (load, more) => {
        const production = { ...load, kind: 'production' as const };
        expect(total({ ...production, [more]: load[more] + 1 })).toBeGreaterThanOrEqual(total(production));
        expect(total({ ...load, kind: 'personal' })).toBeLessThan(total(production));
      }),
    );
  });
});

describe('a sum in functions', () => {
  test('is, by hand: a billion parameters of 16 runners in 60 functions', () => {
    const { functions, secondsOfOne, gigabyteSeconds, dollars } = sumCost({ parameters: 1e9, runners: 16 });
    expect(functions).toBe(60);
    const values = 1e9 / 60;
    expect(secondsOfOne).toBeCloseTo(
      1 + (72 * values) / 75e6 + (16 * values) / sumSpeed.valuesPerVcpuSecond,
      6,
    );
    expect(gigabyteSeconds).toBeCloseTo((60 * secondsOfOne * 1769) / 1024, 6);
    expect(dollars.compute).toBeCloseTo(gigabyteSeconds * 0.0000133334, 10);
    // 17 GETs at least a function, 8 MiB each; a plan and a part are written for each.
    expect(dollars.store).toBeCloseTo((60 * (1 + 16 * 8) + 60) * 0.4e-6 + 120 * 5e-6, 10);
  });

  test('ends before its function is stopped, for up to a hundred runners', () => {
    for (const parameters of [1e7, 1e8, 1e9, 1e10])
      expect(sumCost({ parameters, runners: 100 }).secondsOfOne).toBeLessThan(functions.sum.timeout);
  });

  test('costs what docs/costs.md says, at the speed that it names', () => {
    const page = readFileSync('docs/costs.md', 'utf8').replace(/ +/g, ' ');
    expect(page).toContain(`${sumSpeed.valuesPerVcpuSecond / 1e6} million values a second`);
    expect(page).toContain(`${sumSpeed.bytesPerSecond / 1e6} MB/s`);
    const rows = [1e7, 1e8, 1e9, 1e10].map((parameters) => {
      const { functions: shards, secondsOfOne, dollars } = sumCost({ parameters, runners: 16 });
      return `| ${shards.toLocaleString('en-US')} | ${secondsOfOne.toFixed(0)} | ${dollars.total.toFixed(4)} |`;
    });
    expect(rows.filter((row) => !page.includes(row))).toEqual([]);
  });

  test('is in the month where the worker does not add by itself', async () => {
    const large = { ...some, parameters: 100_000_000 };
    expect(line(large, 'Lambda and S3')).toBeCloseTo(
      300 * sumCost({ parameters: 100_000_000, runners: 10 }).dollars.total,
      10,
    );
    expect(line(some, 'Lambda and S3')).toBe(0);
    const seen = await type(['cost', '--runners', '10', '--rounds', '300', '--params', '1e8']);
    expect(seen.out).toContain('6 functions add a range each');
  });
});

describe('roundtable cost', () => {
  test('prints the month by service with its date, and what is not in it', async () => {
    const seen = await type(['cost', '--runners', '10', '--rounds', '300', '--params', '1e6']);
    expect(seen.code).toBe(0);
    for (const word of ['Aurora', 'Lambda', 'total', 'List prices of us-east-1, 2026-06', 'Not included'])
      expect(seen.out).toContain(word);
    expect(seen.out).toContain(total(some).toFixed(2));
  });

  test('gives the same as JSON', async () => {
    const seen = await type(['cost', '--runners', '10', '--rounds', '300', '--params', '1e6', '--json']);
    expect(seen.json<{ total: number }>().total).toBeCloseTo(total(some), 10);
  });

  test('refuses what is not a count', async () => {
    const seen = await type(['cost', '--runners', 'many', '--rounds', '300', '--params', '1e6']);
    expect(seen.code).toBe(2);
    expect(seen.err).toContain('--runners is "many"');
  });
});
