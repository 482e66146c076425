import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { judge, policySchema, type Offer, type WrittenPolicy } from '#gpu-runner/policy.js';
import { checkHours, hoursSchema, isWithin } from '#gpu-runner/policy/hours.js';
import { checkMachine, processorUse, readGpus } from '#gpu-runner/policy/machine.js';
import { temporaryFolder } from './folder.js';

const coordinator = `0x${'c0'.repeat(20)}` as const;
const other = `0x${'c1'.repeat(20)}` as const;
const rule = { coordinators: [coordinator], jobs: ['digits-*'], data: ['digits'] };
const offer: Offer = { coordinator, job: 'digits-1', data: 'digits', runners: 3 };
const verdict = (policy: WrittenPolicy, change: Partial<Offer> = {}) =>
  judge(policySchema.parse(policy), { ...offer, ...change });

describe('the rules', () => {
  test('admit nothing unless one is written', () => {
    expect(verdict({})).toEqual({ allowed: false, lacks: [] });
    expect(verdict({ allow: [rule] })).toEqual({ allowed: true, rule: 1 });
  });

  test.each<[string, Partial<Offer>]>([
    [`tasks of coordinator ${other}`, { coordinator: other }],
    ['the job letters', { job: 'letters' }],
    ['training on x-rays', { data: 'x-rays' }],
    ['the purpose marketing', { purpose: 'marketing' }],
    ['jobs without a purpose', { purpose: undefined }],
    ['rounds of fewer than 3 runners (2)', { runners: 2 }],
  ])('refuse %s', (reason, change) => {
    const strict = { ...rule, purposes: ['research'], fewestRunners: 3 };
    expect(verdict({ allow: [strict] }, { purpose: 'research' })).toEqual({ allowed: true, rule: 1 });
    expect(verdict({ allow: [strict] }, { purpose: 'research', ...change })).toEqual({
      allowed: false,
      lacks: [reason],
    });
  });

  test('tell of the closest one what it lacks, and never admit by halves of two', () => {
    const allow = [
      { ...rule, coordinators: [other], data: ['x-rays'] },
      { ...rule, jobs: ['letters'] },
    ];
    expect(verdict({ allow })).toEqual({ allowed: false, lacks: ['the job digits-1'] });
  });

  test('know no rule that they cannot keep', () => {
    for (const unknown of ['commands', 'alow', 'gpu'])
      expect(policySchema.safeParse({ [unknown]: [] }).success).toBe(false);
  });
});

const uploadRate = (up: unknown) => policySchema.safeParse({ bandwidth: { up } }).data?.bandwidth.up;

describe('bandwidth', () => {
  test.each([
    [1_000_000, 1_000_000],
    ['1 MB/s', 1_000_000],
    ['1.5 MiB/s', 1_572_864],
    ['50 Mbit/s', 6_250_000],
    ['200kB/s', 200_000],
    [null, null],
  ])('%p is %p bytes per second', (given, expected) => expect(uploadRate(given)).toBe(expected));

  test.each(['fast', '1 MB', '1 mb/s', '-1 MB/s', '1 kB/s', 16_383, 0.5, '1e6 B/s', ''])(
    'refuses %p',
    (given) => expect(uploadRate(given)).toBeUndefined(),
  );
});

const hours = (spans: string[], zone = 'Europe/Berlin') => hoursSchema.parse({ zone, spans });

describe('hours', () => {
  // 2026-11-27 is a Friday; Berlin is an hour ahead of UTC then.
  test.each([
    ['fri 22:00-06:00', '2026-11-27T20:59:00Z', false],
    ['fri 22:00-06:00', '2026-11-27T21:00:00Z', true],
    ['fri 22:00-06:00', '2026-11-28T04:59:00Z', true],
    ['fri 22:00-06:00', '2026-11-28T05:00:00Z', false],
    ['fri 22:00-06:00', '2026-11-28T21:30:00Z', false],
    ['20:00-06:00', '2026-11-25T23:30:00Z', true],
    ['sat-sun 00:00-24:00', '2026-11-29T22:59:00Z', true],
    ['sat-sun 00:00-24:00', '2026-11-29T23:00:00Z', false],
    ['fri-mon 08:00-09:00', '2026-11-30T07:30:00Z', true],
    ['fri-mon 08:00-09:00', '2026-11-26T07:30:00Z', false],
  ])('%s at %s: %s', (span, time, within) => {
    expect(isWithin(hours([span]), new Date(time))).toBe(within);
  });

  test('follow summer time: the night it begins is an hour shorter, the night it ends an hour longer', () => {
    const night = hours(['22:00-06:00']);
    const inside = (from: string, to: string) => {
      let minutes = 0;
      for (let time = Date.parse(from); time < Date.parse(to); time += 60_000)
        if (isWithin(night, new Date(time))) minutes++;
      return minutes / 60;
    };
    expect(inside('2026-03-28T12:00:00Z', '2026-03-29T12:00:00Z')).toBe(7);
    expect(inside('2026-10-24T12:00:00Z', '2026-10-25T12:00:00Z')).toBe(9);
    expect(inside('2026-11-24T12:00:00Z', '2026-11-25T12:00:00Z')).toBe(8);
  });

  test('refuse a task with the hours that would do', () => {
    expect(() => checkHours(hours(['mon 08:00-09:00']), new Date('2026-11-27T12:00:00Z'))).toThrow(
      /mon 08:00-09:00 \(Europe\/Berlin\) only/,
    );
    expect(() => checkHours(undefined, new Date())).not.toThrow();
  });

  test.each(['8:00-9:00', '25:00-26:00', '08:00-24:30', 'fre 08:00-09:00', '08:00', ''])(
    'are not written %j',
    (span) => expect(hoursSchema.safeParse({ zone: 'UTC', spans: [span] }).success).toBe(false),
  );
  test('need a time zone that exists', () => {
    expect(hoursSchema.safeParse({ zone: 'Atlantis', spans: ['08:00-09:00'] }).success).toBe(false);
  });
});

describe('the machine', () => {
  const { signal } = new AbortController();

  test('whose processor is busy is left alone', async () => {
    const spin = setInterval(() => {
      const end = Date.now() + 45;
      while (Date.now() < end);
    }, 50);
    try {
      expect(await processorUse(signal)).toBeGreaterThan(5);
      await expect(checkMachine({ idle: { cpuBelow: 1 } }, signal)).rejects.toMatchObject({
        code: 'MACHINE_BUSY',
      });
    } finally {
      clearInterval(spin);
    }
    await expect(checkMachine({}, signal)).resolves.toBeUndefined();
  });

  test('without nvidia-smi keeps no rule about GPUs, and says so', async () => {
    await withPath(await temporaryFolder(), async () => {
      expect(await readGpus(signal)).toBeNull();
      for (const rules of [{ idle: { gpuBelow: 10 } }, { power: { watts: 200 } }])
        await expect(checkMachine(rules, signal)).rejects.toMatchObject({ code: 'LIMIT_UNSUPPORTED' });
    });
  });

  /** A script stands in for the program, with answers in the form that its manual gives. */
  test('with nvidia-smi is measured by it, and its cap is not believed unless it can be set', async () => {
    const folder = await temporaryFolder();
    const smi = join(folder, 'nvidia-smi');
    await writeFile(
      smi,
      '#!/bin/sh\ncase "$*" in *-pl*) exit 4;; esac\necho "0, 37, 700.00"\necho "1, 0, 250.00"\n',
    );
    await chmod(smi, 0o755);
    await withPath(`${folder}:/usr/bin:/bin`, async () => {
      expect(await readGpus(signal)).toEqual([
        { index: 0, use: 37, watts: 700 },
        { index: 1, use: 0, watts: 250 },
      ]);
      await expect(checkMachine({ idle: { gpuBelow: 38 } }, signal)).resolves.toBeUndefined();
      await expect(checkMachine({ idle: { gpuBelow: 37 } }, signal)).rejects.toThrow(/GPU 0 is 37% in use/);
      await expect(checkMachine({ power: { watts: 700 } }, signal)).resolves.toBeUndefined();
      await expect(checkMachine({ power: { watts: 300 } }, signal)).rejects.toThrow(
        /nvidia-smi -i 0 -pl 300/,
      );
    });
  });
});

async function withPath(path: string, work: () => Promise<void>): Promise<void> {
  const before = process.env['PATH'];
  process.env['PATH'] = path;
  try {
    await work();
  } finally {
    process.env['PATH'] = before;
  }
}
