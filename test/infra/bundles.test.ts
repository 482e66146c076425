import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exampleVariables } from '#infra/exampleVariables.js';
import { functions, type FunctionName, type Variable } from '#infra/functions.js';

const names = Object.keys(functions) as FunctionName[];
const figures: Record<string, unknown>[] = [];
let folder: string;

/** Away from the checkout: a bundle that needed its node_modules would not be found here. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-lambda-'));
  cpSync('dist/lambda', folder, { recursive: true });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
  process.stdout.write(figures.map((figure) => `${JSON.stringify(figure)}\n`).join(''));
});

/** Loads the bundle in a process that has nothing but what Lambda would give it. */
async function load(name: FunctionName, variables: readonly Variable[]) {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [resolve('test/infra/coldStart.mjs'), join(folder, name, 'index.mjs')],
    {
      cwd: folder,
      env: {
        AWS_REGION: 'eu-central-1',
        AWS_EC2_METADATA_DISABLED: 'true',
        ...Object.fromEntries(variables.map((variable) => [variable, exampleVariables[variable]])),
      },
    },
  );
  return JSON.parse(stdout) as {
    handler: string;
    milliseconds: number;
    busy: number;
    megabytes: number;
  };
}

test('there is a shape for every function that is built', () => {
  expect(readdirSync('dist/lambda').sort()).toEqual([...names].sort());
});

describe.each(names)('%s', (name) => {
  const shape = functions[name];

  test('is one file under 1 MB gzipped, the very bundle that the local stack knows', () => {
    expect(readdirSync(join(folder, name))).toEqual(['index.mjs']);
    const code = readFileSync(join(folder, name, 'index.mjs'));
    expect(code.equals(readFileSync(`dist/functions/${name}.mjs`))).toBe(true);
    const size = gzipSync(code, { level: 9 }).length;
    figures.push({ function: name, gzippedKilobytes: Math.round(size / 1000) });
    expect(size).toBeLessThan(1_000_000);
  });

  test('starts with its variables alone, within its memory', async () => {
    const { handler, milliseconds, busy, megabytes } = await load(name, shape.variables);
    figures.push({
      function: name,
      coldStartMilliseconds: milliseconds,
      processorMilliseconds: busy,
      residentMegabytes: megabytes,
    });
    expect(handler).toBe('function');
    expect(megabytes).toBeLessThan(shape.memory / 2);
    // Lambda gives a function 10 seconds to load. The processor's time holds on a busy machine too.
    expect(busy).toBeLessThan(5_000);
  });

  test('without them it does not start, and names each', async () => {
    const failure: unknown = await load(name, []).catch((error: unknown) => error);
    // What differs from the table of chains, which nothing need; what the member has not signed yet; what one machine
    // has not, and without which no other is called.
    const optional: Variable[] = ['CHAIN_NETWORK', 'STACK_ENTRANCE', 'TEMPORAL_CREDENTIALS_SECRET'];
    const needed = shape.variables.filter((variable) => !optional.includes(variable));
    for (const variable of needed) expect(String(failure)).toContain(variable);
  });
});
