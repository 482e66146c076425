/** Runs forge from npm with solc-js as its compiler: `node contracts/forge.mjs test --match-contract Rewards`. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
// Its package's own starter ends with 0 whatever forge ends with.
const platform = `${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;
const fromForge = createRequire(require.resolve('@foundry-rs/forge/package.json'));
const forge = fromForge.resolve(
  `@foundry-rs/forge-${platform}/bin/forge${process.platform === 'win32' ? '.exe' : ''}`,
);
const [command, ...options] = process.argv.slice(2);

const child = spawn(
  forge,
  [command, '--offline', '--use', fileURLToPath(new URL('solc.mjs', import.meta.url)), ...options],
  {
    stdio: 'inherit',
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: { ...process.env, FOUNDRY_DISABLE_NIGHTLY_WARNING: '1' },
  },
);
child.on('exit', (code) => process.exit(code ?? 1));
