import { Command } from 'commander';
import type { Surroundings } from '../command.js';
import { runProgram } from '../run.js';
import { drainVerbs } from './drain.js';
import { ownerVerbs, type OwnerProgram } from './ownerVerbs.js';
import { serviceVerbs } from './serviceVerbs.js';

/**
 * Runs one command line of the runner's own package.
 * @returns the exit code, as the command line of a stack has it
 */
export function runOwnerCommand(
  argv: readonly string[],
  surroundings: Surroundings,
  owner: Omit<OwnerProgram, 'name'>,
): Promise<number> {
  const name = 'roundtable-runner';
  const program = new Command(name)
    .description('A runner of Roundtable: trains on your data, on your machine, under your rules.')
    .version(owner.version)
    .option('--json', 'print JSON')
    .option('--debug', 'print where an error came from')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError('Add --help for how it is used.');
  const verbs = [ownerVerbs, serviceVerbs].map(
    (add) => (parent: Command, does: Parameters<typeof add>[1]) => add(parent, does, { ...owner, name }),
  );
  return runProgram(program, [...verbs, drainVerbs], argv, surroundings);
}
