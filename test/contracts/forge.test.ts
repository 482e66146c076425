import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

test('the contracts pass their Solidity tests', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['contracts/forge.mjs', 'test'], {
    encoding: 'utf8',
  });
  expect({ status, report: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, report: '' });
}, 300_000);

test('a Solidity test that fails is told by how forge ends', () => {
  const root = mkdtempSync(join(tmpdir(), 'roundtable-forge-'));
  try {
    writeFileSync(
      join(root, 'Fails.t.sol'),
      'pragma solidity 0.8.37; contract FailsTest { function test_fails() public pure { assert(false); } }',
    );
    const options = ['test', '--root', root, '--contracts', root, '--match-contract', 'FailsTest'];
    const { status, stdout } = spawnSync(process.execPath, ['contracts/forge.mjs', ...options], {
      encoding: 'utf8',
    });
    expect({ status, told: stdout.includes('1 failing test') }).toEqual({ status: 1, told: true });
  } finally {
    rmSync(root, { recursive: true });
  }
}, 120_000);
