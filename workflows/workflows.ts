/** What Temporal's sandbox loads: the workflows, and nothing else. */
export { trainingJob } from './job.workflow.js';
export { trainingRound } from './round.workflow.js';
export { retention } from './retention.workflow.js';
export { runnerGroup } from './ask.workflow.js';
export { answering } from './answer.workflow.js';
export { settlement } from './settlement.workflow.js';
