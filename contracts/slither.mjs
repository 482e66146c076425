/**
 * Runs slither over the contracts, with solc-js as its compiler, and compares what it finds with the answers in
 * docs/contracts.md ("Static analysis"): `npm run contracts:slither`. Fails where a finding has no answer, an answer no
 * finding, or slither did not understand a function. Slither comes from PyPI, pinned, into the cache folder, the first
 * time it is run; it needs python3 and, that once, the network.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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
const findings = analyse();
const answers = readAnswers();
const unanswered = findings.filter(({ name }) => !answers.has(name));
const superfluous = [...answers].filter((answer) => !findings.some(({ name }) => name === answer));
for (const { description } of unanswered) console.log(description);
for (const answer of superfluous) console.log(`docs/contracts.md answers what is not found: ${answer}`);
console.log(`${findings.length} findings, ${unanswered.length} of them without an answer.`);
process.exitCode = unanswered.length + superfluous.length === 0 ? 0 : 1;

/** What slither finds outside of node_modules. A finding's name is its detector and the first function or variable. */
function analyse() {
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-slither-'));
  try {
    // Not in the repository itself: slither would take foundry.toml for the project's description, and look for forge.
    for (const name of ['contracts', 'node_modules']) symlinkSync(join(root, name), join(folder, name));
    const [input, output] = [join(folder, 'input.json'), join(folder, 'output.json')];
    writeFileSync(input, JSON.stringify(standardInput()));
    const options = {
      '--compile-force-framework': 'Solc-json',
      '--solc': join(root, 'contracts', 'solc.mjs'),
      '--solc-working-dir': folder,
      '--filter-paths': 'node_modules',
      '--json': output,
    };
    const log = run(slither, [input, ...Object.entries(options).flat(), '--fail-none'], folder);
    const problems = log.split('\n').filter((line) => line.startsWith('ERROR'));
    if (problems.length > 0) throw new Error(problems.join('\n'));
    const { results } = JSON.parse(readFileSync(output, 'utf8'));
    return results.detectors.map(({ check, elements, description }) => ({
      name: `${check} ${placeOf(elements[0])}`,
      description: `${check}: ${description}`,
    }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** `Contract.function`; of a local variable the function that it is in. */
function placeOf({ type, name, type_specific_fields: { parent } }) {
  return type === 'function' ? `${parent.name}.${name}` : type === 'contract' ? name : placeOf(parent);
}

/** Names of the findings that a table in docs/contracts.md answers: | `detector` | `place`, `place` | answer |. */
function readAnswers() {
  const text = readFileSync(join(root, 'docs', 'contracts.md'), 'utf8');
  const section = text.split('\n## Static analysis\n')[1].split('\n## ')[0];
  const names = new Set();
  for (const [, detector, places] of section.matchAll(/^\| `([a-z0-9-]+)` +\| (.+?) +\|/gm))
    for (const [, place] of places.matchAll(/`(.+?)`/g)) names.add(`${detector} ${place}`);
  return names;
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
      waiting.push(imported.startsWith('.') ? join(path, '..', imported) : join('node_modules', imported));
  }
  const remappings = ['@openzeppelin/=node_modules/@openzeppelin/'];
  return { language: 'Solidity', sources, settings: { ...settings, remappings } };
}

/** What the command said; throws when it failed. */
function run(command, options, cwd = root) {
  const { status, error, stdout, stderr } = spawnSync(command, options, { cwd, encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ended with ${status}:\n${stdout}${stderr}`);
  return stdout + stderr;
}
