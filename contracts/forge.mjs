/** Runs forge from npm with solc-js as its compiler: `node contracts/forge.mjs test --match-contract Rewards`. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const forge = join(dirname(require.resolve('@foundry-rs/forge/package.json')), 'bin.mjs');
const [command, ...options] = process.argv.slice(2);

const child = spawn(
  process.execPath,
  [forge, command, '--offline', '--use', fileURLToPath(new URL('solc.mjs', import.meta.url)), ...options],
  {
    stdio: 'inherit',
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: { ...process.env, TARGET_TOOL: 'forge', FOUNDRY_DISABLE_NIGHTLY_WARNING: '1' },
  },
);
child.on('exit', (code) => process.exit(code ?? 1));
