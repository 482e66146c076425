import type { CoordinatorActivities } from '../types.js';
import { awaitAttestations, proposeClosing } from './attest.js';
import { admitUpdate, aggregate } from './aggregate.js';
import { archiveModel, archiveRound } from './archive.js';
import { findAnswer } from './answer.js';
import type { Dependencies } from './dependencies.js';
import { evaluateRound } from './evaluate.js';
import { finishRound } from './finish.js';
import { prepareJob } from './prepare.js';
import { failQueuedJob, projectJob, projectRound } from './project.js';
import { signReceipts } from './receipts.js';
import { forgetUpdates } from './retention.js';
import { findPlaces, selectRunners } from './select.js';
import { admitSeal, signSeals } from './seals.js';
import { finishEpoch, planEpoch } from './settle.js';
import { joinSum, planSum, sumShard } from './shardedSum.js';

export type { Dependencies } from './dependencies.js';

/** The coordinator's activities over what they need. */
export function createActivities(deps: Dependencies): CoordinatorActivities {
  return {
    prepareJob: ({ job }) => prepareJob(deps, job),
    selectRunners: (input) => selectRunners(deps, input),
    findPlaces: (group) => Promise.resolve(findPlaces(group)),
    admitSeal: async (input) => admitSeal(input),
    signSeals: (input) => signSeals(deps, input),
    admitUpdate: (input) => admitUpdate(deps, input),
    signReceipts: (input) => signReceipts(deps, input),
    aggregate: (input) => aggregate(deps, input),
    planSum: (input) => planSum(deps, input),
    sumShard: (input) => sumShard(deps, input),
    joinSum: (input) => joinSum(deps, input),
    evaluate: ({ prepared, version }) => evaluateRound(deps, prepared, version),
    archiveModel: (input) => archiveModel(deps, input),
    archiveRound: (input) => archiveRound(deps, input),
    proposeClosing: (input) => proposeClosing(deps, input),
    awaitAttestations: (input) => awaitAttestations(deps, input),
    withdrawProposal: ({ job, round }) => deps.table.withdrawProposal(job, round),
    finishRound: (input) => finishRound(deps, input),
    projectJob: (view) => projectJob(deps, view),
    projectRound: (view) => projectRound(deps, view),
    failQueuedJob: (input) => failQueuedJob(deps, input),
    forgetUpdates: ({ job }) => forgetUpdates(deps, job),
    planEpoch: ({ payer, epoch }) => planEpoch(deps, payer, epoch),
    finishEpoch: (input) => finishEpoch(deps, input),
    findAnswer: (input) => findAnswer(deps, input),
  };
}
