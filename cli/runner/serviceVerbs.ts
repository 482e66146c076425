import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { CheckFailed } from '../command.js';
import { machine, node, onnxruntime } from '../machine.js';
import type { Does } from '../run.js';
import { findingLines, judge } from '../stack/findings.js';
import { glyphs } from '../terminal/theme.js';
import { installUnit, type InstallOptions } from './install.js';
import type { OwnerProgram } from './ownerVerbs.js';

/** What concerns the machine rather than the runner: whether it can run there, and as a service. */
export function serviceVerbs(parent: Command, does: Does, program: OwnerProgram): void {
  parent
    .command('install [home]')
    .description('write a systemd unit that keeps the runner running; it is not started yet')
    .option('--systemd', 'for systemd, the only service manager there is')
    .option('--system', "the machine's manager; run it as root (the default)")
    .option('--user', 'your own manager, without root')
    .option('--passphrase-file <file>', "holds the passphrase of the runner's key; the unit names it only")
    .option('--dry-run', 'print the unit and write nothing')
    .addHelpText(
      'after',
      `\nExample:\n  $ sudo ${program.name} install /srv/runner --systemd --passphrase-file /etc/roundtable/passphrase`,
    )
    .action(
      does<InstallOptions>(async (context, options, home) => {
        const agent = fileURLToPath(new URL('./runner.js', program.agent));
        const { text, ...rest } = await installUnit(context, home, agent, options);
        const { path, verified, written, next } = rest;
        const problems = verified?.problems ?? [];
        context.print({ ...rest, text }, () => [
          ...(written ? [`${glyphs(context.terminal.theme()).ok} wrote ${path}`] : [text]),
          ...problems.map((problem) => `systemd-analyze: ${problem}`),
          ...(verified?.exposure ? [`Exposure by systemd-analyze security: ${verified.exposure}`] : []),
          ...(written ? ['What to do next:', ...next.map((command) => `  ${command}`)] : []),
        ]);
        if (problems.length > 0) throw new CheckFailed();
      }),
    );

  parent
    .command('doctor')
    .description('whether this machine can run a runner')
    .addHelpText('after', `\nExample:\n  $ ${program.name} doctor`)
    .action(
      does(async (context) => {
        const folder = dirname(fileURLToPath(program.agent));
        const findings = await judge([
          ['machine', machine],
          ['node', node],
          ['onnxruntime', () => onnxruntime(folder)],
        ]);
        context.print(findings, () => findings.flatMap((finding) => findingLines(context, finding)));
        if (findings.some(({ state }) => state === 'fail')) throw new CheckFailed();
      }),
    );
}
