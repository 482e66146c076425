import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { RoundtableError } from '#core/errors.js';
import { systemdUnit, unitName } from '#gpu-runner/owner/systemdUnit.js';
import { readSecretFile } from '#gpu-runner/secretFile.js';
import { UsageError, type Context } from '../command.js';
import { openHome } from './home.js';

export interface InstallOptions {
  systemd?: boolean;
  user?: boolean;
  system?: boolean;
  passphraseFile?: string;
  dryRun?: boolean;
}

export interface Installed {
  unit: string;
  path: string;
  text: string;
  written: boolean;
  /** What systemd-analyze says of it; null where there is none. */
  verified: { problems: string[]; exposure: string | null } | null;
  next: string[];
}

/**
 * Writes a systemd unit for a home. It is not started: that is for its owner, with the commands in `next`.
 * @param agent runner.js as the build made it
 * @throws HOME_INVALID, PASSPHRASE_MISSING, KEY_EXPOSED; LIMIT_UNSUPPORTED where there is no systemd
 */
export async function installUnit(
  context: Context,
  given: string,
  agent: string,
  options: InstallOptions,
): Promise<Installed> {
  if (!options.systemd) throw new UsageError('Say what to install: --systemd is the only service manager.');
  if (options.user && options.system) throw new UsageError('--user and --system exclude each other.');
  const scope = options.user ? 'user' : 'system';
  if (!options.dryRun && !existsSync('/run/systemd/system'))
    throw new RoundtableError(
      'LIMIT_UNSUPPORTED',
      'systemd does not run on this machine (on WSL2: systemd=true under [boot] in /etc/wsl.conf). --dry-run shows the unit.',
    );
  const home = await openHome(context, given);
  const folder = resolve(home.folder);
  const encrypted = existsSync(home.paths.keystore);
  const unit = unitName(home.config.name);
  const text = systemdUnit({
    name: home.config.name,
    home: folder,
    node: process.execPath,
    agent,
    passphraseFile: encrypted ? await passphraseFile(context, options.passphraseFile) : null,
    scope,
    user: await ownerOf(folder, scope),
    devices: gpuDevices(),
  });
  const path =
    scope === 'system'
      ? join('/etc/systemd/system', unit)
      : join(context.environment['XDG_CONFIG_HOME'] ?? join(homedir(), '.config'), 'systemd/user', unit);
  const verified = await analyse(unit, text, scope);
  if (!options.dryRun) await write(path, text);
  const manager = scope === 'system' ? 'systemctl' : 'systemctl --user';
  return {
    unit,
    path,
    text,
    written: !options.dryRun,
    verified,
    next: [
      `${manager} daemon-reload`,
      `${manager} enable --now ${unit}`,
      ...(scope === 'user' ? ['loginctl enable-linger   # so that it runs while nobody is logged in'] : []),
    ],
  };
}

async function passphraseFile(context: Context, given: string | undefined): Promise<string> {
  const file = given ?? context.environment['ROUNDTABLE_PASSPHRASE_FILE'];
  if (file === undefined)
    throw new RoundtableError(
      'PASSPHRASE_MISSING',
      "The runner's key is encrypted, and nobody types its passphrase to a service. Name the file that holds it with --passphrase-file.",
    );
  const path = resolve(context.folder, file);
  if ((await readSecretFile(path)) === null)
    throw new RoundtableError('PASSPHRASE_MISSING', `${path} does not exist.`);
  return path;
}

/** A service runs as whoever owns its home; never as root. */
async function ownerOf(folder: string, scope: 'system' | 'user'): Promise<string> {
  if (scope === 'user') return '';
  const { uid } = await stat(folder);
  if (uid === 0)
    throw new RoundtableError(
      'HOME_INVALID',
      `${folder} belongs to root, and a runner does not run as root. Make a user for it: useradd --system roundtable; chown -R roundtable: ${folder}`,
    );
  return String(uid);
}

/** NVIDIA's device files and the render nodes of other GPUs. */
const gpuDevices = (): string[] => [
  ...filesNamed('/dev', /^nvidia(?:\d+|ctl|-uvm|-modeset)$/),
  ...filesNamed('/dev/dri', /^renderD\d+$/),
];

function filesNamed(folder: string, pattern: RegExp): string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => pattern.test(name));
  return names.sort().map((name) => join(folder, name));
}

/** Lets systemd look at the unit before it is written where it counts. */
async function analyse(unit: string, text: string, scope: 'system' | 'user'): Promise<Installed['verified']> {
  const folder = await mkdtemp(join(tmpdir(), 'roundtable-unit-'));
  const file = join(folder, unit);
  const run = promisify(execFile);
  try {
    await writeFile(file, text);
    const checked = await run('systemd-analyze', ['verify', '--man=no', `--${scope}`, file]).catch(
      (error: NodeJS.ErrnoException & { stderr?: string }) => error,
    );
    if (checked instanceof Error && checked.code === 'ENOENT') return null;
    const lines = (checked.stderr ?? '').split('\n').filter((line) => line.includes(unit));
    const rated = await run('systemd-analyze', ['security', '--offline=yes', '--no-pager', file]).catch(
      () => null,
    );
    const exposure = /exposure level for \S+: ([\d.]+ \w+)/.exec(rated?.stdout ?? '')?.[1] ?? null;
    return { problems: lines.map((line) => line.replaceAll(`${folder}/`, '')), exposure };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function write(path: string, text: string): Promise<void> {
  try {
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, text, { mode: 0o644 });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EROFS')))
      throw error;
    throw new RoundtableError(
      'LIMIT_UNSUPPORTED',
      `${path} cannot be written: ${error.message}. Run it as root, or install for yourself with --user.`,
      { cause: error },
    );
  }
}
