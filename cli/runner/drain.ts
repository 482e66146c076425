import { unlockKey } from '#gpu-runner/keystore.js';
import { drainEverywhere } from '#gpu-runner/owner/stackVisits.js';
import { CheckFailed } from '../command.js';
import type { Verb } from '../run.js';
import { glyphs } from '../terminal/theme.js';
import { openHome, passphraseOf } from './home.js';

/** `drain` and `undrain` of the runner's own package: its key signs, so its owner needs nobody for it. */
export const drainVerbs: Verb = (program, does) => {
  for (const [name, description, on] of [
    ['drain', 'finish what it has and get no new rounds, at every stack', true],
    ['undrain', 'get rounds again', false],
  ] as const)
    program
      .command(`${name} [home]`)
      .description(description)
      .option('--reason <text>', 'why; everybody sees it', '')
      .option('--passphrase-file <file>', "holds the passphrase of the runner's key")
      .addHelpText('after', `\nExample:\n  $ ${program.name()} ${name} /srv/runner`)
      .action(
        does<{ reason: string; passphraseFile?: string }>(async (context, options, given) => {
          const home = await openHome(context, given);
          const { key } = await unlockKey(home.paths, passphraseOf(context, options.passphraseFile));
          const drain = { on, reason: options.reason };
          const visits = await drainEverywhere(home, key, drain, context.signal);
          const { ok, fail } = glyphs(context.terminal.theme());
          context.print(visits, () =>
            visits.map(({ coordinator, answer, problem }) =>
              answer === null
                ? `${fail} ${coordinator}: ${problem?.code} ${problem?.message}`
                : `${ok} the stack of ${coordinator}: ${answer}`,
            ),
          );
          if (visits.some(({ answer }) => answer === null)) throw new CheckFailed();
        }),
      );
};
