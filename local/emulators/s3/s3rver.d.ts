declare module '@20minutes/s3rver' {
  import type { IncomingMessage } from 'node:http';
  import type { Readable } from 'node:stream';

  export interface Context {
    method: string;
    path: string;
    headers: Record<string, string | undefined>;
    query: Record<string, string | undefined>;
    mountPath: string;
    state: { vhost: boolean };
    status: number;
    type: string;
    body: unknown;
  }

  interface Store {
    /** Bytes written and their MD5. */
    putContent(path: string, content: Readable | IncomingMessage): Promise<[number, string]>;
    putObject(object: unknown): Promise<unknown>;
    deleteObject(bucket: string, key: string): Promise<void>;
    /** Where a file of an object lies. */
    getResourcePath(bucket: string, key: string, suffix: string): string;
    putObjectMultipart(bucket: string, upload: string, parts: unknown): Promise<unknown>;
  }

  /** A Koa application. Only what local/emulators/s3 uses; the package has no types of its own. */
  export default class S3rver {
    constructor(options: { address: string; port: number; directory: string; silent: boolean });
    readonly middleware: ((context: Context, next: () => Promise<void>) => Promise<void>)[];
    readonly store: Store;
    run(): Promise<{ address: string; port: number }>;
  }
}
