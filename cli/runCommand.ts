import { createProgram, type Surroundings } from './command.js';
import { runProgram } from './run.js';
import { verbs } from './verbs/index.js';

/** Runs one command line of `roundtable`. @param argv without `node` and the script @returns the exit code, see run.ts */
export const runCommand = (argv: readonly string[], surroundings: Surroundings): Promise<number> =>
  runProgram(createProgram(), verbs, argv, surroundings);
