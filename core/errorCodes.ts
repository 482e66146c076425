/**
 * Every error a person can meet: its stable code, the HTTP status it becomes at an API, and what it means.
 * docs/errors.md is printed from this table.
 */
export const errorCodes = {
  // Anywhere
  INTERNAL: { status: 500, meaning: 'A defect in Roundtable. The log has the details; please report it.' },
  INVALID_INPUT: { status: 400, meaning: 'A message does not have the expected form; each mistake is listed with its path.' },
  NOT_FOUND: { status: 404, meaning: 'There is nothing under that name or id.' },
  CONFLICT: { status: 409, meaning: 'The thing already exists, or its state does not allow this.' },
  UNAVAILABLE: { status: 503, meaning: 'A part that is needed does not answer at present. Try again later.' },
  DISK_FULL: { status: 507, meaning: 'No space is left on the disk. Nothing was lost; free some and go on.' },

  // Formats and arithmetic
  FORMAT_INVALID: { status: 400, meaning: 'A file does not have the form that its kind must have; it may be damaged or hostile.' },
  UPDATE_NOT_FINITE: { status: 422, meaning: 'Training produced NaN or infinity. Lower the learning rate, or look at the data.' },
  UPDATE_SATURATED: { status: 422, meaning: 'More values of an update than the job allows did not fit into 32 bits.' },
  STEP_OUT_OF_RANGE: { status: 422, meaning: 'The new version of the model has a parameter that does not fit into 32 bits; the job cannot go on with this rate.' },
  // Requests to a stack
  NOT_SIGNED: { status: 401, meaning: 'A request or webhook carries no signature, or not one of the expected form.' },
  BAD_SIGNATURE: { status: 401, meaning: 'The signature does not belong to these bytes, this sender or this secret.' },
  TOO_OLD: { status: 401, meaning: 'The signed time lies more than five minutes from now: a replay, or a wrong clock.' },
  FORBIDDEN: { status: 403, meaning: 'The signer is known but may not do this.' },
  UNKNOWN_TRIGGER: { status: 404, meaning: 'No trigger of that name was set up.' },
  PAYLOAD_TOO_LARGE: { status: 413, meaning: 'The body is larger than the limit that the message names.' },
  // Rounds
  JOB_INVALID: { status: 422, meaning: 'A job file or spec cannot be run; every mistake is listed with its path.' },
  NO_RUNNERS: { status: 409, meaning: 'No enrolled runner serves the data that the job asks for.' },
  QUORUM_NOT_REACHED: { status: 409, meaning: 'Fewer updates than the quorum came before the deadline.' },
  UPDATE_REFUSED: { status: 422, meaning: "An update does not hold what its runner signed, or breaks the job's rules." },
} as const satisfies Record<string, { status: number; meaning: string }>;

export type ErrorCode = keyof typeof errorCodes;
