/** What a unit needs to know of the machine and the runner. */
export interface UnitFacts {
  /** The runner's name, for people. */
  name: string;
  /** Absolute paths. */
  home: string;
  node: string;
  /** runner.js, the agent alone. */
  agent: string;
  /** File with the passphrase of an encrypted key; null for a home whose key is not. */
  passphraseFile: string | null;
  scope: 'system' | 'user';
  /** Whom the home belongs to; of a system unit only. */
  user: string;
  /** Device files of GPUs that the machine has. */
  devices: readonly string[];
}

/** Lines of systemd.exec(5) that every unit has: the runner sees the system read-only and writes to its home alone. */
const confinement = [
  'NoNewPrivileges=yes',
  'PrivateTmp=yes',
  'ProtectSystem=strict',
  'ProtectKernelTunables=yes',
  'ProtectKernelModules=yes',
  'ProtectKernelLogs=yes',
  'ProtectControlGroups=yes',
  'ProtectHostname=yes',
  'ProtectProc=invisible',
  'LockPersonality=yes',
  'RestrictNamespaces=yes',
  'RestrictRealtime=yes',
  'RestrictSUIDSGID=yes',
  'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK',
  'SystemCallArchitectures=native',
  'SystemCallFilter=@system-service',
  'SystemCallFilter=~@privileged',
  'SystemCallErrorNumber=EPERM',
  'KeyringMode=private',
  'UMask=0077',
  '# Not MemoryDenyWriteExecute: Node compiles JavaScript to machine code while it runs.',
];

/** What only the system's own manager may take away. */
const systemConfinement = [
  'CapabilityBoundingSet=',
  'AmbientCapabilities=',
  'ProtectClock=yes',
  'RemoveIPC=yes',
];

/**
 * A unit that runs a home for good. It holds no secret: the passphrase stays in its file, which systemd hands over as
 * a credential that no other process sees.
 */
export function systemdUnit(facts: UnitFacts): string {
  const { name, home, node, agent, passphraseFile, scope, user } = facts;
  const system = scope === 'system';
  return `${[
    '[Unit]',
    `Description=Roundtable runner ${escaped(name)}`,
    'Documentation=https://www.npmjs.com/package/roundtable-runner',
    ...(system ? ['Wants=network-online.target', 'After=network-online.target'] : []),
    'StartLimitIntervalSec=600',
    'StartLimitBurst=20',
    '',
    '[Service]',
    'Type=exec',
    ...(system ? [`User=${escaped(user)}`] : []),
    `Environment=${quoted(`RUNNER_HOME=${home}`)}`,
    ...(passphraseFile === null
      ? []
      : [
          `LoadCredential=${quoted(`passphrase:${passphraseFile}`)}`,
          'Environment=ROUNDTABLE_PASSPHRASE_FILE=%d/passphrase',
        ]),
    `ExecStart=${[node, agent].map((path) => quoted(path).replaceAll('$', '$$$$')).join(' ')}`,
    `WorkingDirectory=${escaped(home)}`,
    'Restart=always',
    'RestartSec=5',
    'TimeoutStopSec=15',
    '# A training that takes too much memory ends alone; the runner starts it again.',
    'OOMPolicy=continue',
    '',
    ...confinement,
    ...(system ? systemConfinement : []),
    `ReadWritePaths=${quoted(home)}`,
    ...homeProtection(facts),
    ...deviceAccess(facts),
    '',
    '[Install]',
    `WantedBy=${system ? 'multi-user.target' : 'default.target'}`,
  ].join('\n')}\n`;
}

export const unitName = (name: string): string => `roundtable-runner-${name}.service`;

/** Other people's folders are out of sight unless the runner itself lives among them. */
function homeProtection({ home, node, agent }: UnitFacts): string[] {
  const among = [home, node, agent].some((path) => /^\/(?:home|root|run\/user)\//.test(path));
  return [`ProtectHome=${among ? 'read-only' : 'yes'}`];
}

function deviceAccess({ devices, scope }: UnitFacts): string[] {
  if (scope === 'user') return [];
  if (devices.length === 0) return ['PrivateDevices=yes'];
  return ['DevicePolicy=closed', ...devices.map((device) => `DeviceAllow=${device} rw`)];
}

/** `%` begins a specifier in units. */
const escaped = (text: string): string => text.replaceAll('%', '%%');
const quoted = (text: string): string => `"${escaped(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
