import type { Command } from 'commander';
import { lockHome } from '#gpu-runner/homeLock.js';
import { readAddress, unlockKey } from '#gpu-runner/keystore.js';
import { leave, openRunnerChain, register, withdraw, type Step } from '#gpu-runner/owner/registration.js';
import { enterStacks, revokeCertificates, sayGoodbye, type Visit } from '#gpu-runner/owner/stackVisits.js';
import { readStatus } from '#gpu-runner/owner/status.js';
import { homePaths, type RunnerHome } from '#gpu-runner/runnerHome.js';
import type { RunnerKey } from '#gpu-runner/runnerKey.js';
import { readDecisions, verifyDecisions } from '#gpu-runner/verifyDecisions.js';
import { CheckFailed, type Context } from '../command.js';
import type { Does } from '../run.js';
import { glyphs, paint } from '../terminal/theme.js';
import { loadAgent } from './agent.js';
import { decisionLine } from './decisionLine.js';
import { homeFolder, openHome, passphraseOf } from './home.js';
import { addInitOptions, initHome, type InitOptions } from './init.js';
import { pageVerb, showPage } from './pageVerb.js';
import { policyVerb } from './policyCheck.js';
import { startRunner } from './start.js';
import { statusLines, statusValue } from './statusLines.js';

export interface OwnerProgram {
  /** What a person types before the verb: `roundtable-runner` or `roundtable runner`. */
  name: string;
  version: string;
  /** agent.js as the build made it. */
  agent: URL;
  /** Folder of the page as the build made it. */
  page: string;
}

interface KeyOptions {
  passphraseFile?: string;
}

const passphraseOption = ['--passphrase-file <file>', "holds the passphrase of the runner's key"] as const;

/** The verbs of a runner's owner, the same in the runner's own package and under `roundtable runner`. */
export function ownerVerbs(parent: Command, does: Does, program: OwnerProgram): void {
  const verb = (usage: string, description: string, example: string): Command =>
    parent
      .command(usage)
      .description(description)
      .addHelpText('after', `\nExample:\n  $ ${program.name} ${example}`);

  addInitOptions(
    verb(
      'init [home]',
      'make the keys, runner.yaml and a policy that allows nothing yet',
      'init /srv/runner --name north-1 --stack https://stack.example.org --rpc-url https://node.example.org',
    ),
  ).action(
    does<InitOptions>(async (context, options, home) => {
      const folder = homeFolder(context, home);
      const { address, made } = await initHome(context, folder, options);
      context.print({ home: folder, address, made }, () => [
        made.length === 0
          ? `Everything is there already in ${folder}; nothing was changed.`
          : `${glyphs(context.terminal.theme()).ok} made ${made.join(', ')} in ${folder}`,
        `The runner's address is ${address}.`,
        '',
        'What to do next:',
        `  1. Look through ${folder}/runner.yaml and fill in what is marked.`,
        `  2. Put data sets into ${folder}/data, NAME.safetensors each.`,
        `  3. Say in ${folder}/policy.yaml what it may do; it allows nothing yet.`,
        `  4. Send the address its stake and some gas; \`${program.name} register\` says how much.`,
        `  5. ${program.name} start ${folder}`,
        'Keep the passphrase and a copy of keystore.json: nobody can make them again.',
      ]);
    }),
  );

  verb('register [home]', 'stake on chain and publish the TLS key and the data sets', 'register /srv/runner')
    .option(...passphraseOption)
    .action(
      does<KeyOptions>(async (context, options, given) => {
        const home = await openHome(context, given);
        const { privateKey } = await unlockKey(home.paths, passphraseOf(context, options.passphraseFile));
        const chain = openRunnerChain(home.config);
        try {
          const steps: Step[] = [];
          const { runner, serves } = await register(home, privateKey, chain, (step) => {
            steps.push(step);
            if (!context.json) say(context, `${step.what}, transaction ${step.transaction}`);
          });
          const value = { runner: runner?.runner, stake: String(runner?.stake ?? 0n), steps, serves };
          context.print(value, () => [
            steps.length === 0 ? 'Registered already; nothing was sent.' : 'The runner is registered.',
          ]);
        } finally {
          chain.close();
        }
      }),
    );

  verb(
    'enrol [home]',
    'enter every stack once, to see that it works; `start` does it by itself',
    'enrol /srv/runner',
  )
    .option(...passphraseOption)
    .action(
      does<KeyOptions>(async (context, options, given) => {
        const visits = await withKey(context, options, given, (home, key) =>
          enterStacks(home, key, `roundtable-runner ${program.version}`, context.signal),
        );
        context.print(visits, () =>
          visits.length === 0
            ? ['There is no stack to enter: policy.yaml allows no coordinator, and runner.yaml names none.']
            : visits.map((visit) =>
                visit.answer
                  ? `${ok(context)} entered the stack of ${visit.coordinator}; gatekeeper ${visit.answer.gatekeeper}, certificate until ${visit.answer.until}`
                  : notVisited(context, visit),
              ),
        );
        if (visits.some(({ answer }) => answer === null) || visits.length === 0) throw new CheckFailed();
      }),
    );

  addInitOptions(
    verb(
      'start [home]',
      'do what is missing (keys, registration, entering), then run until Ctrl-C',
      'start /srv/runner --passphrase-file /run/secrets/runner',
    ),
  )
    .option('--page', 'serve its own page on this machine, and print the address')
    .action(
      does<InitOptions & { page?: boolean }>(async (context, options, given) => {
        const folder = homeFolder(context, given);
        const passphrase = await startRunner(context, folder, options, (line) => say(context, line));
        if (options.page === true) say(context, await showPage(context, program, folder));
        const { runAgent } = await loadAgent(program.agent);
        const code = await runAgent({
          homes: [folder],
          passphrase,
          logLevel: context.environment['LOG_LEVEL'] ?? 'info',
        });
        if (code !== 0) throw new CheckFailed();
      }),
    );

  pageVerb(parent, does, program);

  verb(
    'status [home]',
    'how the runner stands on chain and at its stacks; works without the passphrase',
    'status',
  ).action(
    does(async (context, _options, given) => {
      const home = await openHome(context, given);
      const status = await readStatus(home, context.signal);
      context.print(statusValue(home, status), () => statusLines(context.terminal.theme(), home, status));
    }),
  );

  verb(
    'revoke [home]',
    'after a theft of the TLS key: no stack lets its certificates in any more',
    'revoke /srv/runner',
  )
    .option(...passphraseOption)
    .action(
      does<KeyOptions>(async (context, options, given) => {
        const visits = await withKey(context, options, given, (home, key) =>
          revokeCertificates(home, key, context.signal),
        );
        context.print(visits, () => [
          ...visits.map((visit) =>
            visit.answer
              ? `${ok(context)} the stack of ${visit.coordinator} lets ${visit.answer.length} of them in no more`
              : notVisited(context, visit),
          ),
          `The TLS key was put aside. \`${program.name} start\` makes another one, publishes it and enters anew.`,
        ]);
        if (visits.some(({ answer }) => answer === null)) throw new CheckFailed();
      }),
    );

  verb(
    'leave [home]',
    'take part no longer; the stake is free after the unbonding period',
    'leave /srv/runner',
  )
    .option('--withdraw', 'take the stake back, once it is free')
    .option(...passphraseOption)
    .action(
      does<KeyOptions & { withdraw?: boolean }>(async (context, options, given) => {
        const home = await openHome(context, given);
        const unlocked = await unlockKey(home.paths, passphraseOf(context, options.passphraseFile));
        const chain = openRunnerChain(home.config);
        const steps: Step[] = [];
        const onStep = (step: Step): void => {
          steps.push(step);
          if (!context.json) say(context, `${step.what}, transaction ${step.transaction}`);
        };
        try {
          if (options.withdraw) {
            await withdraw(home, unlocked.privateKey, chain, onStep);
            context.print({ steps }, () => (steps.length === 0 ? ['The stake was taken back before.'] : []));
            return;
          }
          // First the stacks: once it has left on chain, they do not listen to it any more.
          const told = await sayGoodbye(home, unlocked.key, context.signal).catch(() => []);
          const free = new Date(
            (await leave(home, unlocked.privateKey, chain, onStep)) * 1_000,
          ).toISOString();
          context.print({ steps, stakeFree: free, told }, () => [
            ...told.map(({ coordinator, problem }) =>
              problem
                ? `  the stack of ${coordinator} could not be told (${problem.code}); it sees it on chain`
                : `  told the stack of ${coordinator}`,
            ),
            `The stake is free at ${free}. Take it back then with \`${program.name} leave --withdraw\`.`,
          ]);
        } finally {
          chain.close();
        }
      }),
    );

  policyVerb(parent, does, program.name);

  verb('log [home]', 'what the runner decided, and whether the log is whole', 'log /srv/runner --verify')
    .option('--verify', 'recompute the chain of hashes and check the signature over its end')
    .option('--last <count>', 'so many records', '20')
    .action(
      does<{ verify?: boolean; last: string }>(async (context, options, given) => {
        const paths = homePaths(homeFolder(context, given));
        if (!options.verify) {
          const all = await readDecisions(paths);
          const last = Math.max(1, Math.floor(Number(options.last) || 20));
          context.print(all.slice(-last), () =>
            all.length === 0 ? ['Nothing was decided yet.'] : all.slice(-last).map(decisionLine),
          );
          return;
        }
        const result = await verifyDecisions(paths, await readAddress(paths));
        const { broken, torn, lost, records } = result;
        context.print(result, () => [
          broken
            ? `${bad(context)} ${broken.file}, line ${broken.line}: ${broken.reason}.`
            : `${ok(context)} ${records} records follow from each other, and the runner's key signed for the end.`,
          ...(torn > 0
            ? [`  A crash cut its last line off (${torn} bytes); the next start drops them.`]
            : []),
          ...(lost > 0 ? [`  ${lost} times records that were signed for were gone at a start.`] : []),
        ]);
        if (broken || lost > 0) throw new CheckFailed();
      }),
    );
}

/**
 * What a person does with the runner's key by hand. The home is held meanwhile: an agent that runs on it would enter
 * its stacks again at once, after a theft with the stolen key.
 */
async function withKey<T>(
  context: Context,
  options: KeyOptions,
  given: string,
  act: (home: RunnerHome, key: RunnerKey) => Promise<T>,
): Promise<T> {
  const home = await openHome(context, given);
  const release = await lockHome(home.paths.lock);
  try {
    const { key } = await unlockKey(home.paths, passphraseOf(context, options.passphraseFile));
    return await act(home, key);
  } finally {
    release();
  }
}

const notVisited = (context: Context, { coordinator, problem }: Visit<unknown>): string =>
  `${bad(context)} ${coordinator}: ${problem?.code} ${problem?.message}`;

const ok = (context: Context): string => glyphs(context.terminal.theme()).ok;
const bad = (context: Context): string => {
  const theme = context.terminal.theme();
  return paint(theme, 'red', glyphs(theme).fail);
};

/** Progress goes to standard error: standard output is for the answer, or the agent's log. */
function say(context: Context, line: string): void {
  context.terminal.writeError(`${ok(context)} ${line}\n`);
}
