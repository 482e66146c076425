/** What the ways to a Temporal server have in common. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { baseEnvironment } from '../environment.js';

export interface Progress {
  stage: 'downloading' | 'building' | 'waiting';
  elapsedSeconds: number;
  /** From measurements; null where nobody can know. */
  expectedSeconds: number | null;
  /** What is being done at this moment. */
  detail: string;
}

export type OnProgress = (progress: Progress) => void;

/** Why a way did not lead to a server: told to the person if none does. */
export class NoWay extends Error {}

const run = promisify(execFile);

/**
 * The version that a program claims to have.
 *
 * @throws NoWay when it is not Temporal's command line with a server in it
 */
export async function temporalVersion(path: string): Promise<string> {
  const { stdout } = await run(path, ['--version'], { timeout: 20_000, env: baseEnvironment() }).catch(
    (error: Error) => {
      throw new NoWay(`${path} --version failed: ${firstLine(error.message)}`);
    },
  );
  const version = /^temporal version (.+ \(Server .+\))/.exec(stdout)?.[1];
  if (version === undefined)
    throw new NoWay(
      `${path} --version answered "${firstLine(stdout)}": not Temporal's command line with a server`,
    );
  return version;
}

/** Calls back every second until the returned call, and at once when the detail changes. */
export function reportProgress(
  stage: Progress['stage'],
  expectedSeconds: number | null,
  onProgress: OnProgress,
): { detail(text: string): void; end(): void } {
  const started = Date.now();
  let detail = '';
  const tell = (): void =>
    onProgress({ stage, elapsedSeconds: Math.floor((Date.now() - started) / 1000), expectedSeconds, detail });
  const timer = setInterval(tell, 1000);
  return {
    detail(text) {
      detail = text;
      tell();
    },
    end: () => clearInterval(timer),
  };
}

export const firstLine = (text: string): string => text.trim().split('\n')[0] ?? '';
