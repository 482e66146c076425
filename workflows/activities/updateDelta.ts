/** An update's values, read from the file that its runner sent. */
import { RoundtableError } from '#core/errors.js';
import type { JobSpec } from '#core/jobSpec.js';
import type { RoundOpening, TrainUpdate } from '#core/messages.js';
import { decodeUpdateFile, type UpdateHeader } from '#core/updateFile.js';
import { updateOverhead } from '#services/updateSealing.js';
import type { Dependencies } from './dependencies.js';

/** An update as its runner signed it. @throws UPDATE_REFUSED, FORMAT_INVALID and whatever reading it throws */
export async function readDelta(
  deps: Dependencies,
  spec: JobSpec,
  opening: RoundOpening,
  update: TrainUpdate,
): Promise<Int32Array> {
  const { job, round } = opening;
  const most = 4 * update.dimension + mostHeaderBytes + updateOverhead(spec.updates.recipients);
  const { header, delta } = decodeUpdateFile(
    await deps.readUpdate({ job, round, runner: update.runner, file: update.file }, most),
  );
  checkHeader(header, opening, update);
  return delta;
}

export function checkHeader(header: UpdateHeader, opening: RoundOpening, update: TrainUpdate): void {
  if (header.job !== opening.job || header.round !== opening.round || header.runner !== update.runner)
    refuse(`its file is for job ${header.job}, round ${header.round}, runner ${header.runner}`);
  if (header.sections.delta !== update.dimension)
    refuse(`its file has ${header.sections.delta} values, and ${update.dimension} were signed`);
}

export function refuse(why: string): never {
  throw new RoundtableError('UPDATE_REFUSED', `The update was refused: ${why}.`);
}

/** An update file's header is a few hundred bytes of JSON. */
const mostHeaderBytes = 65_536;
