import { execFile } from 'node:child_process';
import { release } from 'node:os';
import { promisify } from 'node:util';
import type { Verdict } from './stack/findings.js';

/** Whether the tests of this repository run on such a machine. */
export function machine(
  { platform, arch }: { platform: string; arch: string } = process,
  kernel = release(),
): Verdict {
  if (platform === 'linux' && arch === 'x64')
    return ['ok', /microsoft/i.test(kernel) ? `linux x64 on WSL2 (${kernel})` : `linux x64 (${kernel})`];
  return ['warn', `untested: ${platform} ${arch}; Linux x64 and WSL2 are supported`];
}

export function node(version = process.versions.node): Verdict {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const enough = major > 20 || (major === 20 && minor >= 19);
  return enough
    ? ['ok', `v${version}`]
    : ['fail', `v${version}; install Node 20.19 or newer (https://nodejs.org)`];
}

/**
 * In a child process: a native library that does not fit the machine ends the process that loads it.
 * @param folder where it is looked for
 */
export async function onnxruntime(folder: string): Promise<Verdict> {
  const script =
    "import('onnxruntime-node').then(({ default: ort }) => console.log(ort.env.versions.node ?? ort.env.versions.common))";
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    cwd: folder,
    timeout: 60_000,
  }).catch((error: Error) => {
    throw new Error(
      `it does not load (${error.message.split('\n').at(-2) ?? error.message}); run npm install again on this machine`,
    );
  });
  return ['ok', stdout.trim()];
}
