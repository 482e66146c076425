#!/usr/bin/env node
import { runCommand } from './runCommand.js';
import { openSurroundings } from './surroundings.js';

// The SDK of AWS tells everybody on Node 20 that it will want 22 some day; that is for us, not for them.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

process.exitCode = await runCommand(process.argv.slice(2), openSurroundings());
