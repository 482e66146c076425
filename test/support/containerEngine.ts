import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * A program that builds and runs containers, in the words that docker and podman share. Tests use it where
 * `CONTAINER_ENGINE` says how it is called (`docker`, `podman`, `podman --runtime runc`), as root or as the user 1000,
 * to whom files of containers belong.
 */
const words = (process.env['CONTAINER_ENGINE'] ?? '').split(' ').filter((word) => word !== '');

export const engineGiven = words.length > 0;

/** What the engine itself reads from the environment. */
export const engineEnvironment = Object.fromEntries(
  ['PATH', 'HOME', 'CONTAINERS_CONF', 'DOCKER_HOST', 'XDG_RUNTIME_DIR'].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  }),
);

/** Nothing to write to but what is mounted, no capability, no way to get one; podman would give folders in memory. */
export const hardened = [
  ...'--rm --read-only --cap-drop ALL --security-opt no-new-privileges --network host'.split(' '),
  ...(words[0] === 'podman' ? ['--read-only-tmpfs=false'] : []),
];

/** What a process is started with. */
export function engineCommand(...argv: string[]): { command: string; args: string[] } {
  const [command, ...first] = words;
  if (command === undefined) throw new Error('CONTAINER_ENGINE names no container engine.');
  return { command, args: [...first, ...argv] };
}

/** @returns how it ended, and what it said */
export async function engine(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const { command, args } = engineCommand(...argv);
  try {
    const { stdout, stderr } = await promisify(execFile)(command, args, {
      env: engineEnvironment,
      maxBuffer: 64 * 1024 * 1024,
    });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}
