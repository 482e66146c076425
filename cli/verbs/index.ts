import type { Verb } from '../run.js';
import { actsVerb } from './acts.js';
import { announceKeyVerb } from './announceKey.js';
import { connectVerb } from './connect.js';
import { consortiumVerbs } from './consortium.js';
import { costVerb } from './cost.js';
import { dataVerbs } from './data.js';
import { demoVerb } from './demo.js';
import { deployVerb } from './deploy.js';
import { entranceVerb } from './entrance.js';
import { jobVerbs } from './job.js';
import { modelVerbs } from './model.js';
import { queueVerbs } from './queue.js';
import { restoreVerb } from './restore.js';
import { rewardVerbs } from './rewards.js';
import { runnerVerbs } from './runner.js';
import { secretsVerb } from './secrets.js';
import { stackVerbs } from './stack.js';
import { temporalCertificatesVerb } from './temporalCertificates.js';
import { trainVerbs } from './train.js';
import { triggerVerbs } from './trigger.js';
import { watchVerb } from './watch.js';

/** In the order in which help lists them. */
export const verbs: readonly Verb[] = [
  stackVerbs,
  demoVerb,
  jobVerbs,
  triggerVerbs,
  runnerVerbs,
  entranceVerb,
  announceKeyVerb,
  modelVerbs,
  watchVerb,
  rewardVerbs,
  queueVerbs,
  actsVerb,
  restoreVerb,
  dataVerbs,
  costVerb,
  consortiumVerbs,
  deployVerb,
  connectVerb,
  secretsVerb,
  temporalCertificatesVerb,
  trainVerbs,
];
