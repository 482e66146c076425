import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { createProgram } from '#cli/command.js';
import { errorsPage } from '#cli/docs/errorsPage.js';
import { jobSchema, policyJsonSchema } from '#cli/docs/schemas.js';
import { follow, lastLines } from '#cli/stack/logs.js';
import { verbs } from '#cli/verbs/index.js';
import { errorCodes } from '#core/errorCodes.js';
import { until } from '../support/until.js';
import { type } from './person.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('every verb', () => {
  test('has help with an example of itself', async () => {
    const found = leaves(verbsOnly());
    expect(found.length).toBeGreaterThan(20);
    for (const path of found) {
      const { code, out } = await type([...path, '--help']);
      expect([path.join(' '), code]).toEqual([path.join(' '), 0]);
      expect(out.replace('$ sudo ', '$ ')).toContain(`$ roundtable ${path.join(' ')}`);
      expect(out).toContain('--json');
    }
  });

  test('is there that the product promises', () => {
    const names = leaves(verbsOnly()).map((path) => path.join(' '));
    const promised = [
      'up',
      'down',
      'status',
      'logs',
      'doctor',
      'demo',
      'job submit',
      'job list',
      'job watch',
      'job cancel',
      'job take-over',

      'trigger add',
      'trigger list',
      'trigger test',
      'runner list',
      'model list',
      'model pull',
      'model lineage',
      'model verify',
      'watch',
      'rewards show',
      'rewards claim',
      'data import',
    ];
    expect(names).toEqual(expect.arrayContaining(promised));
  });
});

describe('wrong usage', () => {
  test.each([
    [['nonsense'], /unknown command/],
    [['job', 'submit'], /missing required argument 'file'/],
    [['job', 'list', '--nonsense'], /unknown option/],
    [['--progress', 'loud', 'status'], /Allowed choices are auto, plain, json, quiet/],
    [['model', 'verify'], /Name a version, or give --all/],
  ])('%p ends with 2 and says what is wrong', async (argv, message) => {
    const { code, out, err } = await type(argv, { folder });
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(message);
  });
});

describe('an error', () => {
  test('is one line with its code and what to do, and ends with 1', async () => {
    const { code, out, err } = await type(['job', 'list'], { folder });
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(/^error NOT_FOUND: There is no stack in /);
    expect(err).toContain('roundtable up');
    expect(err).not.toContain('    at ');
  });

  test('shows where it came from with --debug', async () => {
    expect((await type(['job', 'list', '--debug'], { folder })).err).toContain('    at ');
  });

  test('is JSON with --json', async () => {
    const { code, err } = await type(['job', 'list', '--json'], { folder });
    expect(code).toBe(1);
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'NOT_FOUND' } });
  });

  test('of a job file comes before anything is sent', async () => {
    writeFileSync(join(folder, 'job.yaml'), 'version: 1\n');
    const { code, err } = await type(['job', 'submit', 'job.yaml'], { folder });
    expect(code).toBe(1);
    expect(err).toMatch(/^error JOB_INVALID: .*has 4 mistakes/s);
  });
});

describe('without a stack', () => {
  test('status and down say so and end with 0', async () => {
    const status = await type(['status', '--json'], { folder });
    expect([status.code, status.json()]).toEqual([
      0,
      { supervisor: null, ports: {}, parts: [], stack: null },
    ]);
    expect(await type(['down'], { folder })).toMatchObject({
      code: 0,
      out: expect.stringContaining('No stack runs'),
    });
  });

  test('the state folder comes from --state, else from ROUNDTABLE_STATE, else from here', async () => {
    const environment = { ROUNDTABLE_STATE: '/elsewhere' };
    expect((await type(['status'], { folder })).out).toContain(join(folder, '.roundtable'));
    expect((await type(['status'], { folder, environment })).out).toContain('/elsewhere');
    expect((await type(['status', '--state', '/named'], { folder, environment })).out).toContain('/named');
  });

  test('doctor looks at everything and says what to do', async () => {
    const { code, json } = await type(['doctor', '--json'], {
      folder,
      environment: { ...process.env } as Record<string, string>,
    });
    const findings = json<{ subject: string; state: string; detail: string }[]>();
    expect(findings.map(({ subject }) => subject)).toEqual([
      'machine',
      'node',
      'memory',
      'disk',
      'ports',
      'temporal',
      'onnxruntime',
      'chain',
      'dynamodb',
      'page',
      'stack',
    ]);
    expect(code).toBe(findings.some(({ state }) => state === 'fail') ? 1 : 0);
    expect(findings.find(({ subject }) => subject === 'onnxruntime')).toMatchObject({
      state: 'ok',
      detail: expect.stringMatching(/^\d+\.\d+/),
    });
    expect(findings.every(({ detail }) => detail !== '')).toBe(true);
  });
});

describe('a log', () => {
  test('is shown from its end and followed as it grows and is put aside', async () => {
    const path = join(folder, 'worker.log');
    writeFileSync(path, 'one\ntwo\nthree\n');
    const { lines, end } = await lastLines(path, 2);
    expect(lines).toEqual(['two', 'three']);
    const stop = new AbortController();
    let more = '';
    const seen = (text: string) => until(() => more.includes(text), text);
    const following = follow(path, end, (text) => void (more += text), stop.signal);
    appendFileSync(path, 'four\n');
    await seen('four');
    writeFileSync(path, 'new\n');
    await seen('new');
    stop.abort();
    await following;
    expect(more).toBe('four\nnew\n');
  });

  test('of a part that never ran is NOT_FOUND', async () => {
    mkdirSync(join(folder, '.roundtable'), { recursive: true });
    expect(await type(['logs', 'worker'], { folder })).toMatchObject({
      code: 1,
      err: expect.stringContaining('none has run yet'),
    });
  });
});

describe('documents printed from the sources', () => {
  test('the page of errors has a row for every code, under a heading', () => {
    const page = errorsPage(readFileSync('core/errorCodes.ts', 'utf8'));
    for (const [code, { status }] of Object.entries(errorCodes))
      expect(page).toContain(`| \`${code}\` | ${status} |`);
    expect(page.indexOf('## Anywhere')).toBeLessThan(page.indexOf('`INTERNAL`'));
  });

  test('the schema of job files asks for what a person must write', () => {
    const schema = JSON.parse(jobSchema()) as { required: string[]; additionalProperties: boolean };
    expect(schema.required).toEqual(['version', 'name', 'data', 'rounds', 'model']);
    expect(schema.additionalProperties).toBe(false);
  });

  test('the schema of policies asks for nothing, and knows no other rules', () => {
    const schema = JSON.parse(policyJsonSchema()) as { required?: string[]; additionalProperties: boolean };
    expect(schema.required).toBeUndefined();
    expect(schema.additionalProperties).toBe(false);
  });

  test('docs/errors.md and the schemas are current', () => {
    expect(() =>
      execFileSync(process.execPath, ['scripts/make-docs.mjs', '--check'], { stdio: 'pipe' }),
    ).not.toThrow();
  });

  test('examples point their editors to the schema', () => {
    for (const name of ['mnist', 'own-csv'])
      expect(readFileSync(`examples/${name}/job.yaml`, 'utf8')).toContain(
        '# yaml-language-server: $schema=../../docs/job.schema.json',
      );
  });
});

function verbsOnly(): Command {
  const program = createProgram();
  for (const verb of verbs) verb(program, () => () => Promise.resolve());
  return program;
}

function leaves(command: Command, path: string[] = []): string[][] {
  return command.commands.flatMap((child) => {
    const name = [...path, child.name()];
    return child.commands.length === 0 ? [name] : leaves(child, name);
  });
}
