import type { TrainTask, TrainUpdate } from '#core/messages.js';
import { traced } from '#services/telemetry/traces.js';
import type { TrainControl, TrainParts } from './trainParts.js';
import { upload } from './upload.js';

/** Uploads an update that is kept and signed for, and notes it. @returns its answer, which may leave now */
export async function sendUpdate(
  parts: TrainParts,
  { opening, place, spec }: TrainTask,
  { answer, update }: { answer: TrainUpdate; update: Uint8Array },
  control: TrainControl,
): Promise<TrainUpdate> {
  const { key, work, stack, coordinator, bandwidth, traces } = parts;
  const { job, round } = opening;
  const expected = parts.receipts.expect(
    { coordinator, runner: key.address, opening, place, updateRoot: answer.updateRoot },
    spec.participants.deadlineSeconds,
  );
  expected.catch(() => undefined); // awaited below
  const span = { name: 'upload', of: { job, round }, attributes: { runner: key.address } };
  await traced(traces, span, () =>
    upload(
      (...question) => stack.ask(...question),
      update,
      { sha256: answer.file, size: update.length, update: { job, round } },
      {
        signal: control.signal,
        throttle: bandwidth.up,
        rules: stack.rules,
        memo: work.memo(job, round, answer.file),
        onProgress: (bytes) => control.onTransfer?.({ direction: 'up', bytes }),
      },
    ),
  );
  control.onTransfer?.(null);
  await expected;
  await parts.decisions.append({
    kind: 'sent',
    coordinator,
    job,
    name: spec.name,
    round,
    updateRoot: answer.updateRoot,
    samples: answer.samples,
    bytes: update.length,
  });
  await work.trim();
  return answer;
}
