import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Feed {
  readonly type: 'float32' | 'int32' | 'int64' | 'uint8';
  readonly data: Float32Array | Int32Array | BigInt64Array | Uint8Array;
  readonly dims: readonly number[];
}

export type Outputs = Record<string, { data: Float32Array; dims: number[] }>;

/** A child process that runs ONNX models. */
export class OnnxRuntime {
  readonly #child: ChildProcess = fork(fileURLToPath(new URL('./onnxRuntime.mjs', import.meta.url)), {
    serialization: 'advanced',
    execArgv: [],
  });

  /** Loads a model and runs it once for each set of feeds. */
  run(model: Uint8Array, runs: readonly Record<string, Feed>[]): Promise<Outputs[]> {
    return new Promise((resolve, reject) => {
      const onExit = () => reject(new Error('The runtime process ended.'));
      this.#child.once('exit', onExit);
      this.#child.once('message', (answer: { results: Outputs[] } | { error: string }) => {
        this.#child.off('exit', onExit);
        if ('error' in answer) reject(new Error(answer.error));
        else resolve(answer.results);
      });
      this.#child.send({ model, runs });
    });
  }

  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await exited;
  }
}
