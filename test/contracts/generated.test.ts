import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

const { compile } = (await import(new URL('../../contracts/compile.mjs', import.meta.url).pathname)) as {
  compile: () => Map<string, string>;
};

test('contracts/generated is what contracts/compile.mjs makes of the sources', () => {
  for (const [path, text] of compile())
    expect({ path, upToDate: readFileSync(path, 'utf8') === text }).toEqual({ path, upToDate: true });
}, 180_000);
