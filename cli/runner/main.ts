#!/usr/bin/env node
import { fileURLToPath } from 'node:url';
import { openSurroundings } from '../surroundings.js';
import { runOwnerCommand } from './program.js';

declare const ROUNDTABLE_VERSION: string;

/** The runner's own package: what its owner types. agent.js lies beside it. */
process.exitCode = await runOwnerCommand(process.argv.slice(2), openSurroundings(), {
  version: ROUNDTABLE_VERSION,
  agent: new URL('./agent.js', import.meta.url),
  page: fileURLToPath(new URL('./web', import.meta.url)),
});
