import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseEnvironment } from '#local/environment.js';
import type { Part } from '#local/supervisor/part.js';
import { signalGroup } from '#local/supervisor/process.js';
import { http, logLine } from '#local/supervisor/ready.js';
import { Supervisor } from '#local/supervisor/supervisor.js';
import { quantile } from '../stack.js';
import { readEvents, roundEnds, roundSeconds, tell, untilEvents } from './events.js';
import { peersFolder } from './setUp.js';
import type { Work } from './work.js';

/** A run that has not ended after this is given up. */
const patienceSeconds = 420;
/** How long after a kill a run may take to go on before it counts as ended: its own checks wait for up to a minute. */
const recoverySeconds = 150;
const killedIn = 2;

/** Flower's deployment: a SuperLink and a SuperNode for each client, each a process, under the supervisor of our stack. */
export async function runFlower(work: Work, bin: string, events: string): Promise<void> {
  await onDeployment(work, bin, events, {}, async (_, start) => {
    start();
    const ended = await untilEvents(
      events,
      (told) => told.some(({ event }) => event === 'done'),
      patienceSeconds,
    );
    if (!ended) throw new Error(`Flower's run has not ended within ${patienceSeconds} s`);
  });
}

/** Kills the SuperLink in the second round of one run, and a SuperNode in the second round of another, with -9. */
export async function runFlowerFaults(work: Work, bin: string, events: string): Promise<void> {
  for (const killed of ['server', 'node'] as const) {
    const told = `${events}.${killed}`;
    await onDeployment(work, bin, told, { database: true }, async (supervisor, start, list) => {
      start();
      const training = (all: ReturnType<typeof readEvents>) =>
        all.filter((event) => event.event === 'training' && event.round === killedIn).length;
      if (!(await untilEvents(told, (all) => training(all) >= work.clients, patienceSeconds)))
        throw new Error('the clients have not begun the second round');
      const part = killed === 'server' ? 'superlink' : 'supernode-1';
      const at = Date.now() / 1000;
      for (const { name, pid } of supervisor.status())
        if (name === part && pid !== null) signalGroup(pid, 'SIGKILL');
      const completed = (all: ReturnType<typeof readEvents>) => roundEnds(all).has(killedIn);
      const went = await untilEvents(told, completed, recoverySeconds);
      const all = readEvents(told);
      tell(events, {
        event: 'recovery',
        killed,
        seconds: went ? (roundEnds(all).get(killedIn) ?? 0) - at : null,
        undisturbed: quantile(
          [...roundSeconds(all)].flatMap(([r, s]) => (r < killedIn ? [s] : [])),
          0.5,
        ),
        lost: went ? updatesLost(all, work.clients) : `the whole run (${list()})`,
      });
    });
  }
  tell(events, { event: 'done' });
}

async function onDeployment(
  work: Work,
  bin: string,
  events: string,
  { database = false }: { database?: boolean },
  run: (supervisor: Supervisor, start: () => void, list: () => string) => Promise<void>,
): Promise<void> {
  const stateDir = mkdtempSync(join(tmpdir(), 'roundtable-peers-'));
  const supervisor = await Supervisor.open(stateDir);
  try {
    const clients = Array.from({ length: work.clients }, (_, k) => `supernode-${k}`);
    const { ports } = await supervisor.choosePorts(
      Object.fromEntries(['superlink', ...clients].map((name) => [name, null])),
    );
    const home = join(stateDir, 'home');
    const app = join(stateDir, 'app');
    cpSync(join(peersFolder, 'app'), app, { recursive: true });
    mkdirSync(home, { recursive: true });
    const address = `127.0.0.1:${ports['superlink']}`;
    writeFileSync(
      join(home, 'config.toml'),
      `[superlink]\ndefault = "bench"\n\n[superlink.bench]\naddress = "${address}"\ninsecure = true\n`,
    );
    const env = {
      PATH: `${bin}:${process.env['PATH']}`,
      FLWR_HOME: home,
      FLWR_TELEMETRY_ENABLED: '0',
      FLWR_DISABLE_UPDATE_CHECK: '1',
      PEERS_WORK: JSON.stringify(work),
      PEERS_EVENTS: events,
    };
    const part = (name: string, program: string, args: string[], ready: Part['ready']): Part => ({
      name,
      role: name === 'superlink' ? 'service' : 'runner',
      command: join(bin, program),
      args: ['--insecure', ...args],
      env,
      ready,
    });
    await supervisor.start(
      part(
        'superlink',
        'flower-superlink',
        ['--host', '127.0.0.1', '--port', String(ports['superlink'])].concat(
          ['--disable-runtime-dependency-installation'],
          database ? ['--database', join(stateDir, 'state.db')] : [],
        ),
        http(`http://${address}/health`),
      ),
    );
    await supervisor.start(
      ...clients.map((name, k) =>
        part(
          name,
          'flower-supernode',
          ['--superlink', address, '--port', String(ports[name])].concat([
            '--node-config',
            `partition-id=${k} num-partitions=${work.clients}`,
          ]),
          logLine(/node id|Starting Flower ClientAppIo|Listening/i),
        ),
      ),
    );
    tell(events, { event: 'ready' });
    const flwr = (...args: string[]) =>
      execFileSync(join(bin, 'flwr'), args, {
        cwd: app,
        env: { ...baseEnvironment(), ...env },
        encoding: 'utf8',
      });
    await run(
      supervisor,
      () => {
        tell(events, { event: 'working' });
        flwr('run', '.', 'bench');
      },
      () => statusIn(flwr('list', 'bench')),
    );
  } finally {
    await supervisor.stopAll();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** A client that was asked again has told so a second time; one that was not is missing from the sum. */
function updatesLost(events: ReturnType<typeof readEvents>, clients: number): string {
  const asked = events.filter((event) => event.event === 'training' && event.round === killedIn).length;
  return asked > clients ? 'nothing' : `1 of ${clients} updates of the round`;
}

/** The run's state as `flwr list` says it. */
function statusIn(list: string): string {
  return (
    /(pending|starting|running|finished:\w+|failed|stopped)/i.exec(list)?.[0] ?? 'listed without a state'
  );
}
