import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { checkStateFormat } from '#local/stateFormat.js';

let state: string;
const write = (name: string, text: string) => writeFileSync(join(state, name), text);

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'roundtable-format-'));
});
afterEach(() => rmSync(state, { recursive: true, force: true }));

describe('a state folder', () => {
  test('is gone on with by the version that made it', () => {
    checkStateFormat(state);
    write('deployment.json', '{}');
    expect(() => checkStateFormat(state)).not.toThrow();
  });

  test.each([
    ['an earlier one', null],
    ['a later one', '999\n'],
    ['none that is known', 'x'],
  ])('of %s is refused untouched, with what can be done', (_, format) => {
    write('deployment.json', '{}');
    if (format !== null) write('format', format);
    const before = readdirSync(state);
    expect(() => checkStateFormat(state)).toThrow(/another version.*--fresh/);
    expect(readdirSync(state)).toEqual(before);
  });
});
