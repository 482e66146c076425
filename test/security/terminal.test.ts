import { describe, expect, test } from '@jest/globals';
import { oneLine, printable } from '#core/printable.js';
import { plainLines } from '#cli/progress/plain.js';
import { openTerminal } from '#cli/terminal/terminal.js';
import { parseMessage, slug } from '#core/schema.js';
import { policySchema, checkPolicy } from '#gpu-runner/policy.js';
import { parseYaml } from '#services/yamlFile.js';
import { readNpz } from '#trainer/data/npz.js';
import { readIdx } from '#trainer/data/idx.js';
import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { z } from 'zod';
import { addressOf, exampleJob, exampleRound, exampleSpec } from '../services/views.js';

/** What a hostile text, table or pattern does to the terminal, the log and the machine of whoever reads it. */
const title = '\u001b]0;owned\u0007';
const clipboard = '\u001b]52;c;cm0gLXJmIC8=\u0007';
const clear = '\u001b[2J\u001b[H';
const hidden = '\u009b8m';
const override = '\u202egnp.exe';

describe('a name or a reason with control characters in it', () => {
  test.each([
    title,
    clipboard,
    clear,
    hidden,
    override,
    'a\rb',
    'a\u0000b',
    'a\u2028b',
    '\u001bc',
    'a\u0008\u0008b',
  ])('shows nothing but text: %j', (text) => {
    // eslint-disable-next-line no-control-regex
    expect(printable(text)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e]/);
  });

  test('cannot look like a line of ours', () => {
    const events = plainLines(
      {
        type: 'round',
        job: exampleJob(),
        runners: [],
        round: exampleRound({
          missing: [{ runner: addressOf('r'), code: 'refused', reason: 'no\n✓ job digits is done' }],
        }),
      } as never,
      {
        runners: new Map(),
        ended: new Set(),
        starting: new Map(),
        job: null,
        round: null,
        temporal: null,
      } as never,
      new Set(),
    );
    expect(events.join('').split('\n').length).toBe(1);
    expect(oneLine('a\nb')).toBe('a b');
  });

  test('never reaches a terminal as a command, whatever wrote it', () => {
    let written = '';
    const stream = { write: (text: string) => (written += text), isTTY: true };
    const terminal = openTerminal({}, stream, stream);
    terminal.write(`\u001b[31mred\u001b[39m ${title}${clipboard}${clear}${hidden}\u001bPq\u001b\\ end\n`);
    terminal.writeError(`${clear}error`);
    expect(written).toBe('\u001b[31mred\u001b[39m ]0;owned]52;c;cm0gLXJmIC8=[2J[H8mPq\\ end\n[2J[Herror');
  });

  test('is one line of a log', () => {
    const lines: string[] = [];
    const log = pino({ base: { part: 'test' } }, { write: (line: string) => void lines.push(line) });
    log.warn({ reason: 'x\n{"level":"info","msg":"paid 1000 tokens"}', name: title }, 'refused\nforged');
    expect(lines).toHaveLength(1);
    expect(lines[0]?.trimEnd()).not.toMatch(/\n/);
    expect(lines[0]).not.toContain('\u001b');
  });

  test('is no name', () => {
    for (const name of [title, 'a\nb', 'a b', '../a', 'a%0d%0ab', 'ä', '\u202ea'])
      expect(() => parseMessage(slug, name, 'The name')).toThrow(
        expect.objectContaining({ code: 'INVALID_INPUT' }),
      );
  });

  test('in a key of a message is shown in the refusal without doing anything', () => {
    const wrong = { [`${title}\n`]: 1 };
    expect(refusalOf(() => parseMessage(z.strictObject({}), wrong, 'The message')).message).not.toContain(
      '\u001b',
    );
  });
});

describe('a message with a million wrong keys', () => {
  test('is refused in an answer that can be read', () => {
    const many = Object.fromEntries(Array.from({ length: 1_000_000 }, (_, i) => [`key${i}`, i]));
    const began = performance.now();
    const error = refusalOf(() => parseMessage(z.strictObject({ a: z.string() }), many, 'The manifest'));
    expect(error.message.length).toBeLessThan(5_000);
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});

describe('a pattern or a text that would keep a machine busy', () => {
  test('a job pattern of thirty stars meets a name that almost fits', () => {
    const task = {
      coordinator: addressOf('c'),
      opening: { selection: [1, 2] },
      place: { count: 2 },
      spec: exampleSpec({ name: 'a'.repeat(63) }),
    };
    const policy = policySchema.parse({
      allow: [
        { coordinators: [addressOf('c')], jobs: [`${'*a'.repeat(31)}`.slice(0, 62) + 'b'], data: ['digits'] },
      ],
    });
    const began = performance.now();
    expect(() => checkPolicy(policy, task as never)).toThrow('does not allow');
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  test.each([
    ['the stars of a pattern stand for any characters, also none', 'di*ts-*', 'digits-', true],
    ['and for nothing else', 'digits-*', 'digit-1', false],
    ['a star alone fits all', '*', 'anything', true],
    ['the end must fit too', '*-a', 'x-a-b', false],
    ['a later place of the same letters counts', '*ab*b', 'aabb-ab', true],
  ])('%s', (_, pattern, name, allowed) => {
    const task = {
      coordinator: addressOf('c'),
      opening: { selection: [1] },
      place: { count: 1 },
      spec: exampleSpec({ name }),
    };
    const policy = policySchema.parse({
      allow: [{ coordinators: [addressOf('c')], jobs: [pattern], data: ['digits'] }],
    });
    const check = () => checkPolicy(policy, task as never);
    if (allowed) expect(check).not.toThrow();
    else expect(check).toThrow();
  });

  test.each<[string, string]>([
    ['a YAML file of nine aliases that stand for a billion values', billionLaughs()],
    ['a YAML file nested a hundred thousand deep', '['.repeat(100_000)],
    [
      'a YAML file nested by its indents',
      Array.from({ length: 3_000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
    ],
    ['a YAML file nested in one line', `${'- '.repeat(50_000)}a`],
    ['a YAML file of ten megabytes', `a: ${'x'.repeat(10_000_000)}`],
    ['a YAML file that sets the prototype', '__proto__: {polluted: true}'],
    ['a YAML file with a tag that makes objects', 'a: !!js/function "function(){}"\nb: &x 1'],
  ])('%s is refused at once', (_, text) => {
    const began = performance.now();
    expect(() => parseYaml(text, 'job.yaml')).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test('a gzip bomb as images, a zip bomb as arrays', () => {
    const bomb = gzipSync(Buffer.alloc(200_000_000));
    expect(() => readIdx(bomb, 'images')).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }));
    const entry = Buffer.alloc(46 + 5);
    entry.writeUInt32LE(0x02014b50);
    entry.writeUInt16LE(8, 10);
    entry.writeUInt32LE(100, 20);
    entry.writeUInt32LE(4_000_000_000, 24);
    entry.writeUInt16LE(5, 28);
    entry.write('x.npy', 46);
    const end = Buffer.alloc(22);
    end.writeUInt32LE(0x06054b50);
    end.writeUInt16LE(1, 10);
    end.writeUInt32LE(200, 16);
    const zip = Buffer.concat([Buffer.alloc(200), entry, end]);
    expect(() => readNpz(zip, 'arrays')).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }));
  });
});

function billionLaughs(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 9; i++)
    lines.push(
      `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(', ')}]`,
    );
  return lines.join('\n');
}

function refusalOf(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('it was accepted');
}
