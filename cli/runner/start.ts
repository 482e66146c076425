import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { unlockKey, type Passphrase } from '#gpu-runner/keystore.js';
import { openRunnerChain, register } from '#gpu-runner/owner/registration.js';
import { readPolicy, readRunnerHome, type RunnerHome } from '#gpu-runner/runnerHome.js';
import type { Context } from '../command.js';
import { passphraseOf } from './home.js';
import { initHome, type InitOptions } from './init.js';

/**
 * Brings a home to where it can run, and says each step in plain words. The agent itself enters the stacks, and
 * goes on trying while they are away.
 * @returns the passphrase, asked for once
 * @throws what a step cannot do without the owner: facts to fill in, funds to send
 */
export async function startRunner(
  context: Context,
  folder: string,
  options: InitOptions,
  say: (line: string) => void,
): Promise<Passphrase> {
  if (!existsSync(join(folder, 'runner.yaml'))) await makeHome(context, folder, options, say);
  const home = await readRunnerHome(folder);
  const passphrase = passphraseOf(context, options.passphraseFile);
  const { privateKey, key } = await unlockKey(home.paths, passphrase);
  say(`the key of ${key.address} is unlocked`);
  await registerOrSay(home, privateKey, say);
  const { allow } = await readPolicy(home.paths);
  say(
    allow.length === 0
      ? `policy.yaml allows nothing yet: every task will be refused. Edit ${home.paths.policy}; it counts at once`
      : `policy.yaml has ${allow.length} rule${allow.length === 1 ? '' : 's'}`,
  );
  say('running: it enters its stacks by itself and renews its certificates. Ctrl-C ends it');
  return passphrase;
}

async function makeHome(
  context: Context,
  folder: string,
  options: InitOptions,
  say: (line: string) => void,
): Promise<void> {
  if (options.stack === undefined || options.name === undefined)
    throw new RoundtableError(
      'HOME_INVALID',
      `There is no runner in ${folder} yet. Give --name and --stack to make one, or run \`roundtable-runner init\` first.`,
    );
  const { address, made } = await initHome(context, folder, options);
  say(`made ${made.join(', ')} in ${folder}; the runner's address is ${address}`);
}

/** A chain that does not answer is no reason not to start: the stacks look at it themselves. */
async function registerOrSay(
  home: RunnerHome,
  privateKey: `0x${string}`,
  say: (line: string) => void,
): Promise<void> {
  if (home.config.chain.rpcUrls.length === 0)
    return say('runner.yaml names no node of the chain; whether it is registered is for the stacks to say');
  const chain = openRunnerChain(home.config);
  try {
    let sent = 0;
    const { runner } = await register(home, privateKey, chain, ({ what, transaction }) => {
      sent += 1;
      say(`${what}, transaction ${transaction}`);
    });
    if (sent === 0) say(`registered on chain for ${runner?.member}, its data and TLS key are published`);
  } catch (error) {
    if (!(error instanceof RoundtableError) || error.code !== 'CHAIN_UNREACHABLE') throw error;
    say(`the chain does not answer, so its registration was not looked at: ${error.message}`);
  } finally {
    chain.close();
  }
}
