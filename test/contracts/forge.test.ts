import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';

test('the contracts pass their Solidity tests', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['contracts/forge.mjs', 'test'], {
    encoding: 'utf8',
  });
  expect({ status, report: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, report: '' });
}, 300_000);
