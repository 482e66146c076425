/** A supervisor in a process of its own, which a test can kill: `node FILE STATE SCRIPT`. */
import { Supervisor } from '#local/supervisor/supervisor.js';
import { stopOnSignals } from '#local/supervisor/signals.js';
import { scriptPart } from './scriptPart.js';

const [stateDir = '', script = ''] = process.argv.slice(2);
const supervisor = await Supervisor.open(stateDir);
stopOnSignals(supervisor);
await supervisor.start(scriptPart('part', script));
console.log('up');
await supervisor.finished;
