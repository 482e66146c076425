import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { growingCost, monthlyCost, type Load } from '#infra/cost.js';
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
