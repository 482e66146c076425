/**
 * Runs slither over the contracts, with solc-js as its compiler: `node contracts/slither.mjs [OPTION…]`. Slither itself is
 * installed from PyPI, pinned, into the cache folder the first time. docs/contracts.md answers what it finds.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contractNames, settings } from './compile.mjs';

const version = '0.11.6';
const root = fileURLToPath(new URL('..', import.meta.url));
const environment = join(homedir(), '.cache', 'roundtable', `slither-${version}`);
const slither = join(environment, 'bin', 'slither');

if (!existsSync(slither)) {
  run('python3', ['-m', 'venv', environment]);
  run(join(environment, 'bin', 'pip'), ['install', '--quiet', `slither-analyzer==${version}`]);
}
const folder = mkdtempSync(join(tmpdir(), 'roundtable-slither-'));
try {
  const input = join(folder, 'input.json');
  writeFileSync(input, JSON.stringify(standardInput()));
  const compiler = fileURLToPath(new URL('solc.mjs', import.meta.url));
  process.exitCode = run(slither, [
    input,
    ...['--compile-force-framework', 'Solc-json', '--solc', compiler, '--solc-working-dir', root],
    ...['--filter-paths', 'node_modules', '--exclude-informational', '--exclude-optimization'],
    ...process.argv.slice(2),
  ]);
} finally {
  rmSync(folder, { recursive: true });
}

/** All sources by their paths in the repository, so that findings name files that exist. */
function standardInput() {
  const sources = {};
  const waiting = contractNames.map((name) => `contracts/${name}.sol`);
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (sources[path] !== undefined) continue;
    const content = readFileSync(join(root, path), 'utf8');
    sources[path] = { content };
    for (const [, imported] of content.matchAll(/^import [^;]*?"([^"]+)";/gms))
      waiting.push(
        imported.startsWith('.') ? join(path, '..', imported) : join('node_modules', imported),
      );
  }
  return {
    language: 'Solidity',
    sources,
    settings: { ...settings, remappings: ['@openzeppelin/=node_modules/@openzeppelin/'] },
  };
}

function run(command, options) {
  const { status, error } = spawnSync(command, options, { stdio: 'inherit', cwd: root });
  if (error) throw error;
  if (status !== 0 && command !== slither) throw new Error(`${command} ended with ${status}.`);
  return status;
}
