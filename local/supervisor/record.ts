/** STATE/parts.json: which processes belong to a state folder, for other commands and for the next start. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from './file.js';
import { readLock, type LockHolder } from './lock.js';
import type { PartStatus } from './part.js';
import { readPorts } from './ports.js';

export interface PartRecord extends PartStatus {
  /** With `pid` identifies the process; null while none runs. */
  startTime: string | null;
}

export interface StackStatus {
  /** Null when no supervisor runs. */
  supervisor: LockHolder | null;
  ports: Record<string, number>;
  /** As last written; without a supervisor the processes may be gone. */
  parts: PartRecord[];
}

export const lockPath = (stateDir: string): string => join(stateDir, 'supervisor.lock');

/** What another process can know of a stack. An empty folder gives an empty answer. */
export function readStatus(stateDir: string): StackStatus {
  return {
    supervisor: readLock(lockPath(stateDir)) ?? null,
    ports: readPorts(stateDir),
    parts: readParts(stateDir),
  };
}

export function prepareStateDir(stateDir: string): void {
  // Keys and databases lie below.
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
}

export function writeParts(stateDir: string, parts: PartRecord[]): void {
  replaceFile(partsFile(stateDir), JSON.stringify(parts, null, 2) + '\n');
}

export function readParts(stateDir: string): PartRecord[] {
  try {
    return JSON.parse(readFileSync(partsFile(stateDir), 'utf8')) as PartRecord[];
  } catch {
    return [];
  }
}

const partsFile = (stateDir: string): string => join(stateDir, 'parts.json');
