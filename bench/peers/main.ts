import { runFlower, runFlowerFaults } from './flower.js';
import { runRoundtable, runRoundtableFaults } from './roundtable.js';
import type { Work } from './work.js';

/** One contender that is more than a Python script, as a process of its own so that it is measured like the others. */
const contenders: Record<string, (work: Work, events: string) => Promise<void>> = {
  roundtable: (work, events) => runRoundtable(work, 'together', events),
  'roundtable-deployment': (work, events) => runRoundtable(work, 'apart', events),
  'roundtable-faults': runRoundtableFaults,
  'flower-deployment': (work, events) => runFlower(work, environment('PEERS_BIN'), events),
  'flower-faults': (work, events) => runFlowerFaults(work, environment('PEERS_BIN'), events),
};

process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
const contender = contenders[process.argv[2] ?? ''];
if (!contender) throw new Error(`There is no contender ${process.argv[2]}.`);
await contender(JSON.parse(environment('PEERS_WORK')) as Work, environment('PEERS_EVENTS'));
process.exit(0);

function environment(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set.`);
  return value;
}
