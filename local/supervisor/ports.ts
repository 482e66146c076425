/** Ports are chosen once for a state folder and kept in STATE/ports.json, so that addresses survive a restart. */
import { randomInt } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { replaceFile } from './file.js';

export interface PortChoice<Name extends string> {
  ports: Record<Name, number>;
  /** Ports that another process has taken since the last time. */
  moved: { name: Name; from: number; to: number }[];
}

/**
 * @param wanted by name: a number that the person fixed, or null for whichever is free
 * @throws PORT_IN_USE when a fixed one is taken
 */
export async function choosePorts<Name extends string>(
  stateDir: string,
  wanted: Record<Name, number | null>,
): Promise<PortChoice<Name>> {
  const recorded = readPorts(stateDir);
  const chosen: Record<string, number> = {};
  const moved: PortChoice<Name>['moved'] = [];
  const names = Object.keys(wanted) as Name[];
  const taken = new Set(names.flatMap((name) => wanted[name] ?? recorded[name] ?? []));
  for (const name of names) {
    const fixed = wanted[name];
    const before = recorded[name];
    if (fixed !== null) {
      if (!(await isFree(fixed))) throw portInUse(name, fixed);
      chosen[name] = fixed;
    } else if (before !== undefined && (await isFree(before))) {
      chosen[name] = before;
    } else {
      const port = await freePort(taken);
      taken.add(port);
      chosen[name] = port;
      if (before !== undefined) moved.push({ name, from: before, to: port });
    }
  }
  replaceFile(portsFile(stateDir), JSON.stringify({ ...recorded, ...chosen }, null, 2) + '\n');
  return { ports: chosen as Record<Name, number>, moved };
}

export function readPorts(stateDir: string): Record<string, number> {
  const file = portsFile(stateDir);
  if (!existsSync(file)) return {};
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>;
  } catch {
    return {}; // they are chosen anew; nothing else depends on the file
  }
}

const portsFile = (stateDir: string): string => join(stateDir, 'ports.json');

/**
 * Below the range from which systems draw ports for outgoing connections (Linux 32768, others 49152): there a
 * restarted part could find its own port taken by a client.
 */
async function freePort(taken: ReadonlySet<number>): Promise<number> {
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const port = randomInt(20_000, 32_000);
    if (!taken.has(port) && (await isFree(port))) return port;
  }
  throw new RoundtableError('PORT_IN_USE', 'No free port was found between 20000 and 32000 on 127.0.0.1.');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function portInUse(name: string, port: number): RoundtableError {
  return new RoundtableError(
    'PORT_IN_USE',
    `Port ${port} of 127.0.0.1, asked for ${name}, belongs to another process. ` +
      `End that process, name another port, or leave the choice to Roundtable.`,
    { details: { name, port } },
  );
}
