import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { address, amount, archiveId, hash32 } from '#core/schema.js';
import { distFile } from '#local/paths.js';

/** What `--report` promises to programs that read it. */
const reportSchema = z.object({
  job: hash32,
  trigger: z.string(),
  rounds: z.array(
    z.object({
      round: z.number().int(),
      participants: z.array(z.object({ runner: address, samples: z.number() })),
      missing: z.array(z.object({ runner: address, reason: z.string().min(1) })),
      accuracy: z.number(),
      loss: z.number(),
      seconds: z.object({
        select: z.number(),
        collect: z.number(),
        aggregate: z.number(),
        evaluate: z.number(),
        archive: z.number(),
        anchor: z.number(),
        total: z.number(),
      }),
      versionId: hash32,
      paramsRoot: hash32,
      rootHeader: hash32,
      modelSha256: hash32,
      archiveId,
      manifestId: archiveId,
      transactions: z.array(z.object({ hash: hash32 })),
      gas: z.number().positive(),
    }),
  ),
  model: z.object({ version: hash32, sha256: hash32, archiveId }),
  rewards: z.array(
    z.object({ runner: address, account: address, earned: amount, claimed: amount, transaction: hash32 }),
  ),
  stack: z.object({ api: z.url(), gateway: z.url(), chain: z.url(), temporal: z.string() }),
});
type Report = z.output<typeof reportSchema>;

let state: string;
let first: Report;
let second: Report;

/** As a person types it, but for the folder. */
async function demo(...more: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [distFile('cli.js'), 'demo', '--exit', '--state', state, ...more], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += String(text)));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

async function demoReport(): Promise<Report> {
  const file = join(state, 'report.json');
  const { code, output } = await demo('--report', file);
  if (code !== 0) throw new Error(`the demo ended with ${code}:\n${output.slice(-4_000)}`);
  return reportSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
}

beforeAll(async () => {
  state = mkdtempSync(join(tmpdir(), 'roundtable-demo-'));
  first = await demoReport();
  second = await demoReport();
}, 240_000);
afterAll(() => rmSync(state, { recursive: true, force: true }));

describe('the demo', () => {
  test('trains at least 90% on held-out digits in eight rounds', () => {
    expect(first.rounds.map(({ round }) => round)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(first.rounds.at(-1)?.accuracy).toBeGreaterThanOrEqual(0.9);
  });

  test('has all four runners but in rounds 2 and 3, where it says who was off and why', () => {
    const missing = first.rounds.filter((round) => round.missing.length > 0);
    expect(missing.map(({ round }) => round)).toEqual([2, 3]);
    const absent = new Set(missing.flatMap((round) => round.missing.map(({ runner }) => runner)));
    expect(absent.size).toBe(1);
    for (const round of first.rounds) expect(round.participants).toHaveLength(4 - round.missing.length);
  });

  test('pays out the budget, to the last unit, and every runner has claimed what it earned', () => {
    expect(first.rewards).toHaveLength(4);
    for (const { earned, claimed } of first.rewards) expect(claimed).toBe(earned);
    expect(first.rewards.reduce((sum, { earned }) => sum + BigInt(earned), 0n)).toBe(8_000n * 10n ** 18n);
  });

  test('ends at the version of its last round', () => {
    expect(first.model.version).toBe(first.rounds.at(-1)?.versionId);
    expect(first.model.sha256).toBe(first.rounds.at(-1)?.modelSha256);
  });

  test('started again, trains on from the latest version and pays on top', () => {
    expect(second.job).not.toBe(first.job);
    expect(second.rounds[0]?.accuracy).toBeGreaterThan(0.85);
    expect(second.rewards.reduce((sum, { earned }) => sum + BigInt(earned), 0n)).toBe(16_000n * 10n ** 18n);
  });

  test('writes no key and no webhook secret into a log', () => {
    const folder = join(state, 'logs');
    const logs = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
    expect(logs.join('').length).toBeGreaterThan(10_000);
    for (const secret of secretsIn(state)) expect(logs.filter((text) => text.includes(secret))).toEqual([]);
  });

  test('refuses a job file with mistakes, all at once, before anything starts', async () => {
    const { code, output } = await demo('--job', 'test/e2e/mistakes.yaml');
    expect(code).toBe(1);
    expect(output).toContain('JOB_INVALID');
    for (const mistake of ['rounds', 'training.optimizer.lr', 'participants.quorom', 'model'])
      expect(output).toContain(mistake);
  });
});

/** Private keys (hex without 0x, or an RSA key's exponent) and the triggers' secrets. */
function secretsIn(folder: string): string[] {
  const texts = ['keys', 'triggers'].flatMap((name) =>
    readdirSync(join(folder, name)).map((file) => readFileSync(join(folder, name, file), 'utf8').trim()),
  );
  const secrets = texts.map((text) =>
    text.startsWith('{') ? String((JSON.parse(text) as { d?: string }).d) : text.replace(/^0x/, ''),
  );
  expect(secrets.length).toBeGreaterThan(8);
  return secrets;
}
