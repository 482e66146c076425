declare module '@20minutes/s3rver' {
  interface Context {
    path: string;
    mountPath: string;
    state: { vhost: boolean };
  }

  /** A Koa application. Only what local/emulators/s3/main.ts uses; the package has no types of its own. */
  export default class S3rver {
    constructor(options: { address: string; port: number; directory: string; silent: boolean });
    readonly middleware: ((context: Context, next: () => Promise<void>) => Promise<void>)[];
    run(): Promise<{ address: string; port: number }>;
  }
}
