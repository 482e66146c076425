#!/usr/bin/env node
import { runAgent } from './agent.js';
import { readEnvironment } from './environment.js';
import { messageOf } from './failures.js';
import { passphraseFrom } from './passphrase.js';

/** The agent alone, for a service manager: everything comes from the environment. */
try {
  const { RUNNER_HOME: homes, LOG_LEVEL: logLevel } = readEnvironment(process.env);
  process.exit(await runAgent({ homes, logLevel, passphrase: passphraseFrom(process.env, undefined, null) }));
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exit(1);
}
