/**
 * Every error a person can meet: its stable code, the HTTP status it becomes at an API, and what it means.
 * docs/errors.md is printed from this table.
 */
export const errorCodes = {
  // Anywhere
  INTERNAL: { status: 500, meaning: 'A defect in Roundtable. The log has the details; please report it.' },
  INVALID_INPUT: {
    status: 400,
    meaning: 'A message does not have the expected form; each mistake is listed with its path.',
  },
  NOT_FOUND: { status: 404, meaning: 'There is nothing under that name or id.' },
  CONFLICT: { status: 409, meaning: 'The thing already exists, or its state does not allow this.' },
  URL_REFUSED: {
    status: 403,
    meaning:
      'An address that somebody else gave points where this machine must not dial: not HTTPS, or a private network.',
  },
  TOO_MANY: {
    status: 429,
    meaning: 'More requests than one sender may make in that time; wait, then repeat.',
  },
  UNAVAILABLE: { status: 503, meaning: 'A part that is needed does not answer at present. Try again later.' },
  DISK_FULL: { status: 507, meaning: 'No space is left on the disk. Nothing was lost; free some and go on.' },

  // Formats and arithmetic
  FORMAT_INVALID: {
    status: 400,
    meaning: 'A file does not have the form that its kind must have; it may be damaged or hostile.',
  },
  UPDATE_NOT_FINITE: {
    status: 422,
    meaning: 'Training produced NaN or infinity. Lower the learning rate, or look at the data.',
  },
  UPDATE_SATURATED: {
    status: 422,
    meaning: 'More values of an update than the job allows did not fit into 32 bits.',
  },
  STEP_OUT_OF_RANGE: {
    status: 422,
    meaning:
      'The new version of the model has a parameter that does not fit into 32 bits; the job cannot go on with this rate.',
  },
  // Requests to a stack
  NOT_SIGNED: {
    status: 401,
    meaning: 'A request or webhook carries no signature, or not one of the expected form.',
  },
  BAD_SIGNATURE: {
    status: 401,
    meaning: 'The signature does not belong to these bytes, this sender or this secret.',
  },
  TOO_OLD: {
    status: 401,
    meaning: 'The signed time lies more than five minutes from now: a replay, or a wrong clock.',
  },
  FORBIDDEN: { status: 403, meaning: 'The signer is known but may not do this.' },
  UNKNOWN_TRIGGER: { status: 404, meaning: 'No trigger of that name was set up.' },
  PAYLOAD_TOO_LARGE: { status: 413, meaning: 'The body is larger than the limit that the message names.' },
  ARTIFACT_CORRUPT: {
    status: 502,
    meaning: 'The artifact store gave other bytes than the hash names; they were thrown away.',
  },
  // Rounds
  JOB_INVALID: {
    status: 422,
    meaning: 'A job file or spec cannot be run; every mistake is listed with its path.',
  },
  NO_RUNNERS: { status: 409, meaning: 'No enrolled runner serves the data that the job asks for.' },
  ATTESTERS_MISSING: {
    status: 409,
    meaning: 'A round did not get the signatures of drawn members that it needs to close.',
  },
  RECEIPT_BROKEN: {
    status: 409,
    meaning:
      'A round was begun twice, and an update that a receipt was signed for is missing the second time.',
  },
  SEALS_BROKEN: {
    status: 409,
    meaning:
      'A round was begun twice, and has other seals the second time than those whose list was signed the first time.',
  },
  QUORUM_NOT_REACHED: { status: 409, meaning: 'Fewer updates than the quorum came before the deadline.' },
  SETTLEMENT_MISMATCH: {
    status: 409,
    meaning:
      'Credits, manifests and chain disagree about what is owed. Nothing was paid; a person must look.',
  },
  UPDATE_REFUSED: {
    status: 422,
    meaning: "An update does not hold what its runner signed, or breaks the job's rules.",
  },

  // Archive and sealing
  ARCHIVE_UNREACHABLE: {
    status: 503,
    meaning: 'No Arweave gateway gave an answer or the data in time. Repeating is safe.',
  },
  ARCHIVE_CORRUPT: {
    status: 502,
    meaning: 'The bytes a gateway gave are not the ones that were signed; they were thrown away.',
  },
  ARCHIVE_REFUSED: {
    status: 502,
    meaning: 'An Arweave gateway refused the transaction or a chunk; the message has its reason.',
  },
  SEAL_NOT_FOR_YOU: {
    status: 403,
    meaning: 'The sealed data was encrypted for other members, or for another key of this one.',
  },
  SEAL_BROKEN: {
    status: 400,
    meaning: 'The sealed data was altered, cut short, or sealed for another purpose.',
  },

  // The chain
  CHAIN_UNREACHABLE: { status: 503, meaning: 'None of the RPC endpoints answered. Repeating is safe.' },
  CHAIN_WRONG_NETWORK: {
    status: 422,
    meaning:
      'An RPC endpoint serves another chain, or one on which the contracts of this consortium are not.',
  },
  CHAIN_REVERTED: {
    status: 409,
    meaning: 'A contract refused the call; the message names its error and arguments.',
  },
  CHAIN_REFUSED: {
    status: 503,
    meaning: 'An RPC endpoint did not take a request; the message has its reason.',
  },
  CHAIN_INSUFFICIENT_FUNDS: {
    status: 503,
    meaning:
      'The account cannot pay for the transaction. It is sent when the account was topped up and the call is repeated.',
  },
  CHAIN_NOT_MINED: {
    status: 503,
    meaning: 'A transaction was sent but not mined in time. Repeating sends the same bytes again.',
  },
  CHAIN_UNKNOWN: {
    status: 422,
    meaning:
      'Nothing is known of this chain: it is not in the table of chains, and CHAIN_NETWORK does not describe it.',
  },
  CHAIN_TOO_EXPENSIVE: {
    status: 503,
    meaning:
      'Gas costs more than the cap at present. The transaction waits; repeating goes on with it when gas is cheaper or the cap was raised.',
  },
  CHAIN_DISAGREES: {
    status: 503,
    meaning:
      'The RPC endpoints contradict each other or what was signed and stored. Nothing is signed on their word.',
  },

  // AWS
  AWS_CREDENTIALS_MISSING: {
    status: 401,
    meaning: 'No AWS credentials were found where its tools look for them.',
  },
  AWS_REFUSED: {
    status: 403,
    meaning:
      "AWS did not accept a request; the message has AWS's reason. Often a permission, or a wrong clock.",
  },

  // Temporal
  TEMPORAL_REFUSED: {
    status: 503,
    meaning:
      'Temporal and a process of the stack do not accept each other: credentials that are missing, expired, wrong or by another authority. Work waits until they were replaced.',
  },

  // The local stack
  ALREADY_RUNNING: { status: 409, meaning: 'Another process runs a stack from this state folder.' },
  PORT_IN_USE: { status: 409, meaning: 'A port that was asked for by number belongs to another process.' },
  PART_CRASHED: {
    status: 500,
    meaning: 'A part of the stack ended five times within a minute; the message has its last lines.',
  },
  PART_NOT_READY: {
    status: 503,
    meaning: 'A part of the stack runs but did not become ready in time; the message has its last lines.',
  },
  TEMPORAL_NOT_FOUND: {
    status: 500,
    meaning: 'No Temporal server could be found, downloaded or built; the message says why for each way.',
  },
  EMULATOR_UNAVAILABLE: {
    status: 500,
    meaning: 'A part that stands in for a cloud service has no program for this machine.',
  },
  STATE_OTHER_VERSION: {
    status: 409,
    meaning: 'The state folder was made by another version of Roundtable; nothing in it was touched.',
  },
  CHAIN_STATE_DAMAGED: {
    status: 500,
    meaning: "The local chain's state file and its copy cannot be read; nothing was overwritten.",
  },

  // Models and training
  MODEL_NOT_ONNX: {
    status: 422,
    meaning: 'The file is not an ONNX model, is cut off, or contradicts itself.',
  },
  MODEL_EXTERNAL_DATA: {
    status: 422,
    meaning: 'The model keeps weights in other files; Roundtable moves models as one file.',
  },
  MODEL_UNKNOWN_OPERATOR: { status: 422, meaning: 'The model uses an operator that cannot be trained.' },
  MODEL_NO_WEIGHTS: { status: 422, meaning: 'Nothing in the model can be trained.' },
  MODEL_SHAPE_MISMATCH: {
    status: 422,
    meaning: 'Shapes do not meet: within the model, with its weights, or with the data.',
  },
  MODEL_UNSUPPORTED: {
    status: 422,
    meaning: 'The model has a form that is not supported yet; the message says which is.',
  },
  TRAINING_NOT_FINITE: {
    status: 422,
    meaning: 'Training produced NaN or infinity; try a smaller learning rate or check the data.',
  },
  TRAINING_DIVERGED: {
    status: 422,
    meaning: 'The loss grew beyond all measure; the message names the step. Try a smaller learning rate.',
  },
  TRAINING_MEMORY: {
    status: 422,
    meaning: 'The training needs more memory than the machine has, or its owner allows.',
  },
  TRAINING_TIME: { status: 422, meaning: 'The training took longer than the owner of the machine allows.' },
  TRAINING_CHILD_DIED: {
    status: 503,
    meaning: 'The training process ended before it answered. The request can be made again.',
  },
  TRAINING_LIMIT: {
    status: 422,
    meaning: 'The training process was ended because it took more time or memory than it may.',
  },
  TRAINING_ABORTED: { status: 409, meaning: 'The training was cancelled by whoever asked for it.' },
  // Runners
  HOME_INVALID: {
    status: 400,
    meaning: "A runner's home folder lacks a file, or one has mistakes; each is listed.",
  },
  KEY_INVALID: { status: 400, meaning: 'A key file does not exist or does not hold a private key.' },
  KEY_EXPOSED: {
    status: 400,
    meaning: 'Others on the machine can reach a private key. Make the file readable to its owner only.',
  },
  POLICY_REFUSED: {
    status: 403,
    meaning: "The runner's owner does not allow this coordinator, job, data set or size of round.",
  },
  OUTSIDE_HOURS: { status: 409, meaning: "The runner's owner lets it train at other hours only." },
  MACHINE_BUSY: {
    status: 409,
    meaning:
      "The runner's machine does other work, and its owner lets it train only while the machine is idle.",
  },
  LIMIT_UNSUPPORTED: {
    status: 422,
    meaning:
      'The policy sets a limit that cannot be measured or kept on this machine, so the runner does not train under it.',
  },
  PASSPHRASE_MISSING: {
    status: 400,
    meaning: "The runner's key is encrypted, and nobody gave the passphrase.",
  },
  PASSPHRASE_WRONG: { status: 400, meaning: "The passphrase does not open the runner's key." },
  LOG_BROKEN: {
    status: 409,
    meaning: "The runner's decision log was changed, or lacks records; the message names the first place.",
  },
  TASK_NOT_MINE: {
    status: 403,
    meaning: 'A task is for another runner, or from another stack than the one its runner works for.',
  },
  OPENING_INVALID: {
    status: 422,
    meaning:
      'A task does not hold what its round committed to when it opened; the runner does not sign for it.',
  },
  ALREADY_SIGNED: {
    status: 409,
    meaning:
      'The runner has signed an update for this round of the job under other conditions, and signs only once.',
  },
  NOT_SEALED: {
    status: 409,
    meaning: 'The runner was asked to reveal an update that it has not sealed for this opening of the round.',
  },
  SEALS_REFUSED: {
    status: 422,
    meaning:
      "The list of a round's seals is not one that the runner reveals its update for: unsigned, incomplete, or another than before.",
  },
  READERS_REFUSED: {
    status: 403,
    meaning:
      "A task's updates could not be read by its coordinator, or by a key that its member has not announced.",
  },
  DATA_NOT_SERVED: { status: 409, meaning: 'The runner has no data set of the name that the job asks for.' },
  SAMPLES_EXCEEDED: {
    status: 409,
    meaning: 'The runner has more samples than it had declared when the round opened.',
  },
} as const satisfies Record<string, { status: number; meaning: string }>;

export type ErrorCode = keyof typeof errorCodes;
