import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { distFile, projectRoot } from '#local/paths.js';
import type { Emit } from '../main.js';
import { readEvents } from './events.js';
import { measured } from './measured.js';
import { peersTable, resultOf, type PeerResult } from './results.js';
import { peersFolder, setUp, type Peers } from './setUp.js';
import { standardWork, type Work } from './work.js';

const ours = (name: string) => () => [process.execPath, distFile('bench/peers.js'), name];
const python =
  (script: string) =>
  ({ bin }: Peers) => [join(bin, 'python'), join(peersFolder, script)];

/** How each contender is started, in the order in which all of them are run. */
const contenders: Record<string, (peers: Peers) => string[]> = {
  roundtable: ours('roundtable'),
  'flower-simulation': python('simulation.py'),
  'roundtable-deployment': ours('roundtable-deployment'),
  'flower-deployment': ours('flower-deployment'),
  pytorch: python('pytorch.py'),
  'roundtable-faults': ours('roundtable-faults'),
  'flower-faults': ours('flower-faults'),
};

/** Rounds that are long enough to be killed in: five epochs on a quarter of the images. */
const faultWork = { ...standardWork, clients: 4, epochs: 5, rounds: 7 } as const;
const flowerFaultRounds = 3;

const resultsFile = join(projectRoot, 'bench', 'results', 'peers.json');

/**
 * `npm run bench -- peers [CONTENDER…] [--clients N] [--rounds N]`: the same work in Roundtable, Flower and PyTorch,
 * one after the other. Results are kept, so that the contenders can be run one at a time; `table` only prints them.
 */
export async function run(emit: Emit, args: readonly string[] = []): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { clients: { type: 'string' }, rounds: { type: 'string' } },
  });
  const unknown = positionals.filter((name) => name !== 'table' && !(name in contenders));
  if (unknown.length > 0)
    throw new Error(
      `There is no contender ${unknown.join(', ')}. There are: ${Object.keys(contenders).join(', ')}; and table.`,
    );
  const wanted = Object.keys(contenders).filter(
    (name) => positionals.length === 0 || positionals.includes(name),
  );
  const standard = values.clients === undefined && values.rounds === undefined;
  for (const name of wanted) {
    const result = await contend(name, values);
    emit({ ...result });
    if (standard) keep(result);
  }
  console.log(`\n${peersTable(kept())}\n`);
}

async function contend(
  name: string,
  size: { clients?: string | undefined; rounds?: string | undefined },
): Promise<PeerResult> {
  const peers = setUp((line) => console.error(line));
  const planned = name.endsWith('-faults') ? faultWork : standardWork;
  const work: Work = {
    ...planned,
    data: peers.data,
    clients: Number(size.clients ?? planned.clients),
    rounds: name === 'flower-faults' ? flowerFaultRounds : Number(size.rounds ?? planned.rounds),
  };
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-peers-'));
  const log = join(folder, 'log');
  const events = join(folder, 'events');
  const usage = await measured(contenders[name]?.(peers) ?? [], {
    env: { PEERS_WORK: JSON.stringify(work), PEERS_EVENTS: events, PEERS_BIN: peers.bin },
    log,
  });
  const told = readEvents(events);
  if (usage.exitCode !== 0 || !told.some(({ event }) => event === 'done')) {
    console.error(readFileSync(log, 'utf8').split('\n').slice(-40).join('\n'));
    throw new Error(`${name} ended with ${usage.exitCode}; all it said is in ${log}`);
  }
  rmSync(folder, { recursive: true });
  return resultOf(name, work, machine(), usage, told);
}

function keep(result: PeerResult): void {
  const others = kept().filter(({ contender }) => contender !== result.contender);
  mkdirSync(join(resultsFile, '..'), { recursive: true });
  writeFileSync(resultsFile, JSON.stringify([...others, result], null, 2) + '\n');
}

function kept(): PeerResult[] {
  return existsSync(resultsFile) ? (JSON.parse(readFileSync(resultsFile, 'utf8')) as PeerResult[]) : [];
}

function machine(): string {
  const all = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${all[0]?.model.trim() ?? 'unknown'}, ${all.length} cores, ${memory} GiB, Node ${process.versions.node}`;
}
