import { run as coldstart } from './coldStart.js';
import { run as encoding } from './encoding.js';
import { run as flood } from './flood.js';
import { run as gatekeeper } from './gatekeeper.js';
import { run as mcmahan } from './mcmahan.js';
import { run as memory } from './memory.js';
import { run as page } from './page.js';
import { run as peers } from './peers/peers.js';
import { run as robust } from './robust.js';
import { run as round } from './round.js';
import { run as scale } from './scale.js';
import { run as shards } from './shards.js';
import { run as sum } from './sum.js';
import { run as train } from './train.js';
import { run as transfer } from './transfer.js';
import { run as verify } from './verify.js';
import { run as watch } from './watch.js';
import { run as webhook } from './webhook.js';

/** `npm run bench [-- NAME…]`: every figure is one JSON line; nothing here fails a build. */
export type Emit = (line: Record<string, unknown>) => void;

const benches: Record<string, (emit: Emit) => Promise<void>> = {
  sum,
  robust,
  shards,
  encoding,
  round,
  verify,
  watch,
  webhook,
  flood,
  memory,
  train,
  transfer,
  gatekeeper,
  mcmahan,
  coldstart,
};

/** Too long to run with the others; these take arguments. */
const longBenches: Record<string, (emit: Emit, args: readonly string[]) => Promise<void>> = {
  peers,
  scale,
  page,
};

// On Node 20 the SDK of AWS tells everybody that it will want 22 some day.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
const [first = '', ...rest] = process.argv.slice(2);
const long = longBenches[first];
if (long) {
  await long((line) => console.log(JSON.stringify({ bench: first, ...line })), rest);
  process.exit(0);
}
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(benches, name));
if (unknown.length > 0) {
  console.error(
    `There is no bench ${unknown.join(', ')}. There are: ${Object.keys({ ...benches, ...longBenches }).join(', ')}.`,
  );
  process.exit(2);
}
for (const [name, run] of Object.entries(benches))
  if (wanted.length === 0 || wanted.includes(name))
    await run((line) => console.log(JSON.stringify({ bench: name, ...line })));
process.exit(0);
